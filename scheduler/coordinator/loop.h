// The loop: the coordinator's one writer. Works arrive from any thread and run one after another on
// the loop's thread; a round is up to kRoundMax of them and a Tick, whose facts become durable in
// one transaction before anything leaves the process: effects, events, replies. Reads run between
// rounds, so they see durable state only.
//
// When the store cannot write, the round is taken back: its replies are kDiskFull, the ledger is
// recovered, and the loop is read-only until a probe write works.
//
// Start, Stop and the destructor belong to one thread; Do and Read to any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "common/base/result.h"
#include "scheduler/core/step.h"
#include "scheduler/store/store.h"

namespace tutti::metrics {
class ControlMetrics;
}

namespace tutti::coordinator {

inline constexpr std::size_t kRoundMax = 1024;     // works a round
inline constexpr std::size_t kWaitingMax = 65536;  // works and reads that wait

// What a read sees. For the call only.
struct View {
  const core::State* state = nullptr;
  store::Store* store = nullptr;
  bool read_only = false;
};

using InputBody = decltype(core::Input::body);

// What a work may do. For the call only.
class Round {
 public:
  // Decides and applies. The reply may leave the process only in After. kDiskFull while the loop is
  // read-only and the input would change something.
  Result<core::Reply> Step(InputBody body);
  void Observe(const core::Sighting& sighting);
  // Once the round's facts are stored, or with the error that kept them from it.
  void After(std::function<void(const Status& stored)> then);
  // As decided so far, stored or not.
  const core::State& state() const { return state_; }
  Instant now() const { return now_; }

 private:
  friend class Loop;
  Round(core::Ledger& ledger, core::Liveness& liveness, const core::Policy& policy)
      : ledger_(ledger), liveness_(liveness), state_{ledger, liveness, policy} {}

  core::Ledger& ledger_;
  core::Liveness& liveness_;
  const core::State state_;
  bool read_only_ = false;
  Instant now_;
  metrics::ControlMetrics* metrics_ = nullptr;
  std::size_t works_ = 0;  // of this round
  std::vector<core::Fact> facts_;
  std::vector<core::Job> archived_;
  std::vector<core::Effect> effects_;
  std::vector<std::function<void(const Status&)>> after_;
};

using Work = std::function<void(Round&)>;
using Read = std::function<void(const Result<View>&)>;

// Facts that were just stored, with their numbers in the journal.
struct Stored {
  std::uint64_t first_seq = 0;
  std::span<const core::Fact> facts;
  const View& view;
};

// Called on the loop's thread.
struct LoopHooks {
  std::function<void(Round&)> tick = nullptr;  // before each Tick
  // What the coordinator itself does before `stored`, what workers do after the replies.
  std::function<void(const core::Effect&, const View&)> perform = nullptr;
  std::function<void(const Stored&)> stored = nullptr;  // before the replies
  // The store cannot be read back: the loop has ended, nothing can be served any more.
  std::function<void(const Error&)> failed = nullptr;
};

struct LoopOptions {
  Duration tick_every = std::chrono::milliseconds(core::kTickIntervalMs);
  Duration probe_every = std::chrono::seconds(1);
  metrics::ControlMetrics* metrics = nullptr;  // outlives the loop
};

class Loop {
 public:
  Loop(std::unique_ptr<store::Store> store, LoopOptions options);
  ~Loop();  // Stop()
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Recovers the ledger and starts a new generation; durable when it returns. `recovered` sees the
  // ledger before the thread runs.
  Status Start(LoopHooks hooks, const std::function<void(const View&)>& recovered);
  // What waits is answered with kUnavailable, then the thread ends and the store is closed.
  void Stop();

  // False when too much waits already, or the loop has stopped: `work` never runs.
  bool Do(Work work);
  // Called exactly once, perhaps with an error. What asks on the loop's thread, as After does to
  // answer with what was stored, is read before the next round.
  void Read(coordinator::Read read);
  // Waits (at most `deadline`) until few enough works wait. For producers that can be slowed down.
  void WaitForRoom(Duration deadline);

  // The store cannot be written now. Any thread.
  bool read_only() const { return read_only_; }
  // Of this life; constant after Start.
  std::uint64_t generation() const { return generation_; }

 private:
  struct Batch {
    std::vector<Work> works;
    std::vector<coordinator::Read> reads;
  };

  // Of the round just before, if it stored something.
  struct LastCommit {
    std::size_t works = 0;
    Duration took{};
  };

  void Run();
  std::optional<Batch> Wait();
  void WaitForCompany(std::unique_lock<std::mutex>& lock, Instant since);
  void RunRound(std::vector<Work>& works);
  void Commit(Round& round);
  void TakeBack(Round& round, const Error& error);
  void ProbeWhenDue();
  void RunReads(std::vector<coordinator::Read>& reads);
  View ViewNow() const { return {&state_, store_.get(), read_only_}; }

  const LoopOptions options_;
  LoopHooks hooks_;

  // Of the loop's thread.
  std::unique_ptr<store::Store> store_;
  core::Ledger ledger_;
  core::Liveness liveness_;
  const core::State state_;
  std::atomic<bool> read_only_ = false;
  bool lost_ = false;                         // the ledger could not be recovered
  std::vector<coordinator::Read> own_reads_;  // asked for on this thread
  Instant next_tick_;
  Instant next_probe_;
  LastCommit last_commit_;

  std::uint64_t generation_ = 0;
  std::atomic<std::thread::id> thread_id_{};  // of the loop's thread while it runs
  std::mutex mutex_;                          // guards what follows
  std::condition_variable wake_;
  std::condition_variable room_;
  std::deque<Work> works_;
  std::deque<coordinator::Read> reads_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tutti::coordinator
