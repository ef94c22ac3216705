// Every job that can run starts within a bounded time, whatever comes after it.
#include <random>

#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStep = 60s;
constexpr Duration kBound = 12h;
// A sanitizer makes this 15 times as long: there one stream is followed for a day.
#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kStreams = 1;
constexpr Duration kTime = 24h;
#else
constexpr std::uint64_t kStreams = 3;
constexpr Duration kTime = 4 * 24h;
#endif

// Four machines of four slots, two of them with two GPUs; about four fifths of the slots are asked
// for by a stream of small, short and often urgent jobs, some of which take a GPU; among it now and
// then a gang that takes every slot, one that takes every GPU, and jobs nothing can run.
class Stream {
 public:
  Stream(std::uint64_t seed, const char* policy) : random_(seed) {
    world.check = false;
    world.Start();
    for (std::uint64_t i = 1; i <= 4; ++i) world.AddGpuNode(i, 4, i <= 2 ? 2 : 0);
    EXPECT_TRUE(world.Send(SetPolicy{policy}));
    EXPECT_TRUE(world.Send(SetQueue{"small", {.weight = 3, .slots = 4}}));
    EXPECT_TRUE(world.Send(SetQueue{"narrow", {.slots_max = 2, .user_slots = 1}}));
  }

  // The longest any job waited for its first start.
  Duration Run(Duration time) {
    for (Duration passed{}; passed < time; passed += kStep) {
      world.Pass(kStep);
      Arrive();
      Live();
      world.Tick();
      for (const Fact& fact : world.new_facts) Note(fact);
      StartAll();
      world.facts.clear();
      if (testing::Test::HasFailure()) break;
    }
    for (const auto& [id, since] : waiting_) longest_ = std::max(longest_, world.now - since);
    return longest_;
  }

  World world;
  std::size_t started = 0;

 private:
  std::uint64_t Draw(std::uint64_t below) { return random_() % below; }

  void Submit(std::uint32_t ranks, Duration length, const char* queue, bool possible = true,
              std::uint32_t gpus_per_rank = 0) {
    JobRequest request = World::Request(ranks, ranks, 16);
    request.gpus_per_rank = gpus_per_rank;
    request.queue = queue;
    request.user = "user-" + std::to_string(Draw(3));
    request.priority = static_cast<std::int64_t>(Draw(3));
    if (!possible) request.labels = {{"nobody", "has"}};
    const JobId id = world.AddJob(++bits_, request);
    InspectFinished inspected;
    inspected.job = id;
    inspected.outcome = InspectOutcome::kAdmitted;
    inspected.estimate.total_steps = 100;
    inspected.estimate.duration_ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(length).count());
    EXPECT_TRUE(world.Send(inspected));
    lengths_[id] = length;
    if (possible) waiting_[id] = world.now;
  }

  void Arrive() {
    // 10 of 16 slots: a small job takes 10 minutes of one slot on average.
    for (int i = 0; i < 10; ++i) {
      if (Draw(10) == 0) {
        const std::uint32_t gpus = Draw(8) == 0 ? 1 : 0;
        Submit(1, std::chrono::minutes(1 + Draw(19)), Draw(4) != 0 ? "small" : "default", true,
               gpus);
      }
    }
    if (Draw(150) == 0) Submit(1, 30min, "narrow");
    if (Draw(240) == 0) Submit(16, std::chrono::minutes(5 + Draw(20)), "default");
    if (Draw(400) == 0) Submit(2, std::chrono::minutes(5 + Draw(20)), "default", true, 2);
    if (Draw(60) == 0) Submit(1, 5min, "default", false);
  }

  void Live() {
    const std::set<JobId> active = world.ledger.active;
    for (const JobId id : active) {
      if (std::holds_alternative<Stopping>(world.At(id).phase)) {
        End(id, GangOutcome::kReleased);
      } else if ((ran_[id] += kStep) >= lengths_[id]) {
        End(id, GangOutcome::kSucceeded);
      }
    }
    world.BeatAll();
  }

  void End(JobId id, GangOutcome outcome) {
    const auto done = static_cast<std::uint64_t>(100 * (ran_[id] / 1s) / (lengths_[id] / 1s));
    if (outcome == GangOutcome::kReleased && done > 0) world.Checkpoint(id, done);
    ReportEnded report = world.Ended(id, outcome);
    report.step = std::min<std::uint64_t>(done, 100);
    EXPECT_TRUE(world.Send(report));
  }

  void Note(const Fact& fact) {
    const auto* placed = std::get_if<GangPlaced>(&fact);
    if (placed == nullptr || Number(placed->attempt) != 1) return;
    ++started;
    longest_ = std::max(longest_, world.now - waiting_.at(placed->job));
    waiting_.erase(placed->job);
  }

  void StartAll() {
    const std::set<JobId> active = world.ledger.active;
    for (const JobId id : active) {
      if (std::holds_alternative<Starting>(world.At(id).phase)) world.Started(id);
    }
  }

  std::mt19937_64 random_;
  std::uint64_t bits_ = 0;
  std::map<JobId, Duration> lengths_, ran_;
  std::map<JobId, Instant> waiting_;
  Duration longest_{};
};

class StarvationTest : public testing::TestWithParam<const char*> {};

TEST_P(StarvationTest, EveryJobThatCanRunStartsWithinABoundedTime) {
  for (std::uint64_t seed = 1; seed <= kStreams; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Stream stream(seed, GetParam());
    const Duration longest = stream.Run(kTime);
    EXPECT_LT(longest / 1s, kBound / 1s);
    EXPECT_GT(stream.started, 1000U * static_cast<std::size_t>(kTime / 24h));
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, StarvationTest, testing::Values("fifo", "fair", "srtf"));

// A long line of one user that its queue's limit holds back does not hide those behind it.
TEST(Starvation, ALineThatItsQueueHoldsBackHidesNobody) {
  World world;
  world.check = false;
  world.AddNode(1, 4);
  ASSERT_TRUE(world.Send(SetQueue{"narrow", {.slots_max = 1}}));
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    JobRequest request = World::Request(1, 1);
    request.queue = "narrow";
    world.AddQueued(i, request);
  }
  const JobId other = world.AddQueued(5000, World::Request(1, 1));
  world.Tick();
  EXPECT_NE(ActiveGang(world.At(other)), nullptr);
}

// Nor do jobs that nothing here can run.
TEST(Starvation, JobsThatNothingCanRunHideNobody) {
  World world;
  world.check = false;
  world.AddNode(1, 4);
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    JobRequest request = World::Request(1, 1);
    request.labels = {{"nobody", "has"}};
    world.AddQueued(i, request);
  }
  const JobId other = world.AddQueued(5000, World::Request(1, 1));
  world.Tick();
  EXPECT_NE(ActiveGang(world.At(other)), nullptr);
}

}  // namespace
}  // namespace tutti::core
