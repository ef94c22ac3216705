#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/worker/checkpoint/state.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::checkpoint {
namespace {

constexpr int kDeaths = 50;

class CrashTest : public CheckpointTest {};

// Writes checkpoints until killed, telling of each through `out`.
[[noreturn]] void WriteForever(const fs::path& folder, std::uint32_t attempt, std::int64_t from,
                               int out) {
  for (std::int64_t step = from;; ++step) {
    const State state(step, attempt);
    const bool ok =
        Write(folder, state.content).has_value() && Collect(folder, 2, -1, attempt).has_value();
    if (!ok || ::write(out, &step, sizeof step) != sizeof step) _exit(1);
  }
}

// The newest checkpoint that the writer told of before it was killed, at a random moment of its
// `written`-th next one; -1: it died itself.
std::int64_t KillWriter(pid_t child, int in, int written, int delay_us) {
  std::int64_t told = -1;
  for (int i = 0; i < written; ++i) {
    if (::read(in, &told, sizeof told) != sizeof told) return -1;
  }
  const timespec delay{.tv_sec = 0, .tv_nsec = delay_us * 1'000L};
  ppoll(nullptr, 0, &delay, nullptr);  // the moment of death, not a wait for something
  ::kill(child, SIGKILL);
  for (std::int64_t more = 0; ::read(in, &more, sizeof more) == sizeof more;) told = more;
  return told;
}

TEST_F(CrashTest, AKilledWriterLeavesAReadableNewestCheckpoint) {
  std::mt19937 random(20'240'701);
  std::int64_t newest = 0;
  for (std::uint32_t attempt = 1; attempt <= kDeaths; ++attempt) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      WriteForever(folder_, attempt, newest + 1, ends[1]);
    }
    ::close(ends[1]);
    const int written = attempt == 1 ? 1 : static_cast<int>(random() % 2);
    const std::int64_t told =
        KillWriter(child, ends[0], written, static_cast<int>(random() % 30'000));
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";

    const std::vector<std::string> names = Names();
    const std::set<std::string> all(names.begin(), names.end());
    for (const std::string& name : names) {
      if (name.ends_with(".json")) {
        EXPECT_TRUE(all.contains(name.substr(0, name.size() - 5) + ".h5")) << name;
      }
    }
    const Found found = Newest();
    ASSERT_GE(found.step, std::max(told, newest));
    State state;
    const Status read = Read(found, state.target());
    ASSERT_TRUE(read.has_value()) << read.error().ToString();
    EXPECT_TRUE(state.HasTensorsOf(State(found.step)));
    newest = found.step;
  }
  ASSERT_TRUE(Collect(folder_, 2, -1, kDeaths + 1).has_value());
  for (const std::string& name : Names()) EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
}

}  // namespace
}  // namespace tutti::checkpoint
