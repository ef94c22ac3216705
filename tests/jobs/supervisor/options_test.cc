#include "jobs/supervisor/options.h"

#include <gmock/gmock.h>

#include "jobs/supervisor/child.h"

namespace tutti::supervisor {
namespace {

using testing::ElementsAre;

TEST(ParseHostPort, TakesAddresses) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:0").value().ToString(), "127.0.0.1:0");
  EXPECT_EQ(ParseHostPort("localhost:80").value().ToString(), "127.0.0.1:80");
  EXPECT_EQ(ParseHostPort("[::1]:7717").value().ToString(), "[::1]:7717");
  EXPECT_EQ(ParseHostPort("0.0.0.0:7717").value().ToString(), "0.0.0.0:7717");
}

TEST(ParseHostPort, RefusesTheRestWithAHint) {
  for (const char* bad : {"", "7717", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                          "127.0.0.1:-1", "tutti.example:7717", ":7717"}) {
    const auto parsed = ParseHostPort(bad);
    ASSERT_FALSE(parsed.has_value()) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalid) << bad;
    EXPECT_NE(parsed.error().hint, "") << bad;
  }
}

TEST(CoordinatorCommand, PassesOnWhatTlsNeeds) {
  UpOptions options;
  options.data_dir = "/data";
  options.bin_dir = "/bin";
  const HostPort http{.host = "0.0.0.0", .port = 1};
  const HostPort zmq{.host = "0.0.0.0", .port = 2};
  EXPECT_THAT(CoordinatorCommand(options, http, zmq),
              ElementsAre("/bin/tutti-coordinator", "--data-dir", "/data", "--http", "0.0.0.0:1",
                          "--zmq", "0.0.0.0:2"));
  options.tls = true;
  options.tls_cert = "/c.pem";
  options.tls_key = "/k.pem";
  options.advertise = "tutti.example";
  options.webhooks_to = "public";
  EXPECT_THAT(CoordinatorCommand(options, http, zmq),
              ElementsAre("/bin/tutti-coordinator", "--data-dir", "/data", "--http", "0.0.0.0:1",
                          "--zmq", "0.0.0.0:2", "--tls", "--tls-cert", "/c.pem", "--tls-key",
                          "/k.pem", "--advertise", "tutti.example", "--webhooks-to", "public"));
}

TEST(WorkerNames, OneIsTheHostSeveralAreNumbered) {
  EXPECT_THAT(WorkerNames("node7", 1), ElementsAre("node7"));
  EXPECT_THAT(WorkerNames("node7", 2), ElementsAre("node7-1", "node7-2"));
}

TEST(WorkerNames, AreValidNamesWhateverTheHostIsCalled) {
  EXPECT_THAT(WorkerNames("-a b/c", 1), ElementsAre("abc"));
  EXPECT_THAT(WorkerNames("", 1), ElementsAre("worker"));
  EXPECT_EQ(WorkerNames(std::string(200, 'x'), 1)[0].size(), 63u);
  EXPECT_EQ(WorkerNames(std::string(200, 'x'), 64)[63].size(), 63u);
}

TEST(Slots, AreTheCoresSharedAmongTheWorkers) {
  UpOptions options;
  EXPECT_EQ(SlotsPerWorker(options, 8), 8);
  options.workers = 3;
  EXPECT_EQ(SlotsPerWorker(options, 8), 2);
  options.workers = 16;
  EXPECT_EQ(SlotsPerWorker(options, 8), 1);
  options.slots_per_worker = 4;
  EXPECT_EQ(SlotsPerWorker(options, 8), 4);
}

TEST(Restart, PausesDoubleUpToTwoSeconds) {
  Child child;
  Instant now{std::chrono::hours(1)};
  std::vector<Duration> pauses;
  for (int i = 0; i < 8; ++i) {
    child.started = now;
    NoteDeath(child, now);
    pauses.push_back(child.restart_at - now);
  }
  using std::chrono::milliseconds;
  EXPECT_THAT(pauses, ElementsAre(milliseconds(100), milliseconds(200), milliseconds(400),
                                  milliseconds(800), milliseconds(1600), milliseconds(2000),
                                  milliseconds(2000), milliseconds(2000)));
}

TEST(Restart, AProgramThatRanForAWhileStartsAgainSoon) {
  Child child;
  child.deaths = 6;
  child.started = Instant{std::chrono::hours(1)};
  const Instant now = child.started + kSteady;
  NoteDeath(child, now);
  EXPECT_EQ(child.restart_at - now, std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace tutti::supervisor
