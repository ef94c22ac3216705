#include "scheduler/coordinator/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <future>
#include <thread>

namespace {

std::atomic<int> sync_ms = 0;  // what a sync of this program takes longer

void Spend(int ms) {
  const timespec wait{.tv_sec = 0, .tv_nsec = ms * 1'000'000L};
  ::nanosleep(&wait, nullptr);
}

}  // namespace

// For SQLite, in place of the C library's: a slow disk.
extern "C" int fdatasync(int file) {
  Spend(sync_ms);
  return ::fsync(file);
}

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

core::Submit Submission(std::uint64_t bits) {
  core::Submit input;
  input.job = JobId(bits);
  input.request.name = "job-" + std::to_string(bits);
  input.request.task = "text-classification";
  input.spec_json = "{}";
  return input;
}

class LoopTest : public testing::Test {
 protected:
  fs::path directory = fs::path(testing::TempDir()) / ("loop-" + std::to_string(::getpid()));
  std::unique_ptr<Loop> loop;
  std::vector<std::uint64_t> stored_seqs;
  std::atomic<std::size_t> rounds_stored = 0;

  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory);
    Open();
  }
  void TearDown() override {
    loop.reset();
    fs::remove_all(directory);
  }
  void Open() {
    loop.reset();
    auto store = store::Store::Open(directory / "state.db");
    ASSERT_TRUE(store) << store.error().ToString();
    loop = std::make_unique<Loop>(std::move(*store), LoopOptions{.probe_every = 10ms});
    LoopHooks hooks;
    hooks.stored = [this](const Stored& stored) {
      ++rounds_stored;
      for (std::size_t i = 0; i < stored.facts.size(); ++i) {
        stored_seqs.push_back(stored.first_seq + i);
      }
    };
    const Status started = loop->Start(std::move(hooks), nullptr);
    ASSERT_TRUE(started) << started.error().ToString();
  }
  // The reply once it is stored, or why it is not.
  Status Send(InputBody body) {
    auto done = std::make_shared<std::promise<Status>>();
    EXPECT_TRUE(loop->Do([body, done](Round& round) {
      const auto reply = round.Step(body);
      round.After([done, reply](const Status& stored) {
        done->set_value(!stored ? stored : !reply ? Status(Fail(reply.error())) : Status());
      });
    }));
    return done->get_future().get();
  }
  template <typename T>
  T Ask(const std::function<T(const View&)>& question) {
    auto answer = std::make_shared<std::promise<T>>();
    loop->Read([question, answer](const Result<View>& view) {
      answer->set_value(view ? question(*view) : T{});
    });
    return answer->get_future().get();
  }
  std::size_t Jobs() {
    return Ask<std::size_t>([](const View& view) { return view.state->ledger.jobs.size(); });
  }
  bool EventuallyWritable() {
    const Instant deadline = MonotonicNow() + 10s;
    while (loop->read_only() && MonotonicNow() < deadline) Jobs();
    return !loop->read_only();
  }
};

TEST_F(LoopTest, WhatWasAnsweredIsThereAfterARestart) {
  ASSERT_TRUE(Send(Submission(1)));
  ASSERT_TRUE(Send(Submission(2)));
  EXPECT_EQ(stored_seqs, (std::vector<std::uint64_t>{2, 3}));
  const std::uint64_t generation = loop->generation();
  Open();
  EXPECT_EQ(Jobs(), 2U);
  EXPECT_EQ(loop->generation(), generation + 1);
}

TEST_F(LoopTest, AReadSeesStoredFactsOnlyAndAllOfThem) {
  // The work blocks the round; the read behind it waits for the round's commit.
  std::promise<void> release;
  auto released = std::make_shared<std::shared_future<void>>(release.get_future().share());
  loop->Do([released](Round& round) {
    (void)round.Step(Submission(1));
    released->wait();
  });
  auto answer = std::make_shared<std::promise<std::pair<std::size_t, std::uint64_t>>>();
  loop->Read([answer](const Result<View>& view) {
    answer->set_value({view->state->ledger.jobs.size(), view->store->last_seq()});
  });
  release.set_value();
  const auto [jobs, seq] = answer->get_future().get();
  EXPECT_EQ(jobs, 1U);
  EXPECT_EQ(seq, 2U);
}

TEST_F(LoopTest, ErrorsOfTheSchedulerReachTheAsker) {
  EXPECT_EQ(Send(core::Cancel{JobId(7)}).error().code, ErrorCode::kNotFound);
}

// A file-size limit stands for a full disk.
TEST_F(LoopTest, AFailedCommitTakesTheRoundBackAndWritesGoOnLater) {
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_TRUE(Send(Submission(1)));
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tiny{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tiny), 0);
  EXPECT_EQ(Send(Submission(2)).error().code, ErrorCode::kDiskFull);
  EXPECT_TRUE(loop->read_only());
  EXPECT_EQ(Jobs(), 1U);
  EXPECT_EQ(Send(Submission(3)).error().code, ErrorCode::kDiskFull);
  // What changes nothing is answered as ever.
  EXPECT_EQ(Send(core::Cancel{JobId(7)}).error().code, ErrorCode::kNotFound);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(EventuallyWritable());
  EXPECT_TRUE(Send(Submission(4)));
  Open();
  EXPECT_EQ(Jobs(), 2U);
}

// Those who ask again as soon as they are answered share every round, where they came in two halves
// that waited for each other's sync.
TEST_F(LoopTest, ASlowDiskSyncsOnceForAllWhoAskInTurn) {
  constexpr int kClients = 8;
  constexpr int kEach = 6;
  constexpr int kBetweenMs = 3;  // from an answer to the next question
  constexpr int kTries = 3;      // a loaded machine may keep a client from asking in time
  std::uint64_t next = 1;
  std::size_t fewest = SIZE_MAX;
  for (int tries = 0; tries < kTries && fewest > kEach + 2; ++tries) {
    const std::size_t before = rounds_stored;
    sync_ms = 80;
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i, next += kEach) {
      clients.emplace_back([this, next] {
        for (std::uint64_t k = 0; k < kEach; ++k) {
          EXPECT_TRUE(Send(Submission(next + k)));
          Spend(kBetweenMs);
        }
      });
    }
    for (std::thread& client : clients) client.join();
    sync_ms = 0;
    Jobs();  // the last round's hook has run
    fewest = std::min(fewest, rounds_stored - before);
  }
  EXPECT_LE(fewest, kEach + 2) << "two halves: " << 2 * kEach;
}

TEST_F(LoopTest, AfterStopNothingRunsAndReadsHearWhy) {
  loop->Stop();
  EXPECT_FALSE(loop->Do([](Round&) {}));
  ErrorCode code{};
  loop->Read([&](const Result<View>& view) { code = view.error().code; });
  EXPECT_EQ(code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace tutti::coordinator
