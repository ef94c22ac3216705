// Ten thousand clients that never finish their requests, from a process of their own: health checks
// go on being answered, and memory stays bounded.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tests/scheduler/http/server_fixture.h"

namespace tutti::http {
namespace {

using std::chrono::milliseconds;

constexpr int kSlow = 10'000;
constexpr int kProbes = 1'000;
constexpr rlim_t kSpareFiles = 600;
constexpr std::int64_t kBytesEach = 16 * 1024;  // as much as the limit of one head

// Raises the soft limit to the hard one.
rlim_t FilesMax() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  file >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

double P99Ms(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() * 99 / 100];
}

// The slow clients' process: opens all, says so, then sends each a byte in turn until told to stop.
// They are other machines: here they give way to the server.
int BeSlow(int told, int say) {
  ::setpriority(PRIO_PROCESS, 0, 19);
  std::uint16_t port = 0;
  if (::read(told, &port, sizeof port) != sizeof port) return 1;
  std::vector<Client> clients;
  for (int i = 0; i < kSlow; ++i) {
    clients.emplace_back(port);
    clients.back().Send("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-padding: ");
  }
  if (testing::Test::HasFailure() || ::write(say, "r", 1) != 1) return 2;
  pollfd stop{.fd = told, .events = POLLIN, .revents = 0};
  for (std::size_t i = 0; ::poll(&stop, 1, 1) == 0; ++i) {
    if (::send(clients[i % clients.size()].fd(), "x", 1, MSG_NOSIGNAL) != 1) return 3;
  }
  return 0;
}

class LoadTest : public ServerFixture {
 protected:
  // Each probe as a monitor does it: a connection of its own.
  double ProbeP99Ms() {
    std::vector<double> times;
    for (int i = 0; i < kProbes; ++i) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_TRUE(Responds());
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      times.push_back(took.count());
    }
    return P99Ms(std::move(times));
  }
};

TEST_F(LoadTest, HealthIsAnsweredBesideTenThousandSlowClients) {
  if (const rlim_t files = FilesMax(); files < kSlow + kSpareFiles) {
    GTEST_SKIP() << "NOT CHECKED: the hard limit of open files is " << files << ", "
                 << kSlow + kSpareFiles << " are needed (ulimit -Hn)";
  }
  int told[2];
  int say[2];
  ASSERT_EQ(::pipe2(told, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(say, O_CLOEXEC), 0);
  const UniqueFd stop_reader(told[0]);
  UniqueFd tell(told[1]);
  const UniqueFd hear(say[0]);
  UniqueFd say_writer(say[1]);
  const pid_t slow = ::fork();  // before the server's threads start
  ASSERT_GE(slow, 0);
  if (slow == 0) {
    tell.Reset();
    ::_exit(BeSlow(stop_reader.get(), say_writer.get()));
  }
  say_writer.Reset();

  Start({.header_deadline = milliseconds(300'000)});
  const double idle_ms = ProbeP99Ms();
  const std::int64_t before = ResidentBytes();
  const std::uint16_t number = port();
  ASSERT_EQ(::write(tell.get(), &number, sizeof number), static_cast<ssize_t>(sizeof number));
  char ready = 0;
  ASSERT_EQ(::read(hear.get(), &ready, 1), 1) << "the slow clients could not connect";
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (server_->Connections() < kSlow && std::chrono::steady_clock::now() < end) Responds();
  EXPECT_GE(server_->Connections(), static_cast<std::size_t>(kSlow));

  const double loaded_ms = ProbeP99Ms();
  const std::int64_t rise = ResidentBytes() - before;
  std::printf("health p99: idle %.2f ms, beside %d slow clients %.2f ms; memory +%.1f MiB\n",
              idle_ms, kSlow, loaded_ms, static_cast<double>(rise) / (1 << 20));
  EXPECT_LE(rise, kSlow * kBytesEach);
  EXPECT_LE(loaded_ms, 2 * idle_ms + 20);  // 20: other work on the machine

  tell.Reset();
  int status = 0;
  ASSERT_EQ(::waitpid(slow, &status, 0), slow);
  EXPECT_EQ(status, 0) << "a slow client was cut";
}

}  // namespace
}  // namespace tutti::http
