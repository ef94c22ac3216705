// Ranks that only pretend to train. A gang's state is one number that every step changes in a way
// that depends on the job and the step, so that a resumed gang ends with the digest of an
// undisturbed one only if it went on from the right place. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jobs/attempt/attempt.h"
#include "scheduler/core/liveness.h"
#include "scheduler/simulate/scene.h"

namespace tutti::simulate {

// What the fake spec of a job says.
struct Work {
  std::uint64_t steps = 1;
  std::uint64_t save_every = 1;
  Duration step{};  // with one rank
};
std::string Write(const Work& work);  // a spec_json
Work ReadWork(const std::string& spec_json);

// The digest a job ends with, whatever happens to it.
std::string DigestOf(JobId job, std::uint64_t steps);

struct Saved {
  std::uint64_t step = 0;
  std::string path;
};

// All ranks of the run, of all machines.
class FakeRanks {
 public:
  explicit FakeRanks(Scene& scene) : scene_(scene) {}

  struct Seat {  // of a rank
    core::GangKey gang;
    std::uint32_t rank = 0;  // of the gang
  };
  struct Birth {
    Seat seat;
    std::uint32_t size = 1;
    Work work;
    std::vector<Saved> checkpoints;  // newest first
    // Tells the attempt on its machine.
    std::function<void(enginelink::ToWorker)> say;
    std::function<void(std::int32_t wait_status)> exited;
  };
  void Start(Birth birth);
  bool IsAlive(const Seat& seat) const;
  void Kill(const Seat& seat, std::int32_t wait_status);
  void Tell(const core::GangKey& gang, const enginelink::ToEngine& message);

  // ---- faults ----
  std::vector<Seat> Alive() const;
  void Stall(const Seat& seat, Duration time);
  void Slow(const core::GangKey& gang, std::uint32_t times);

 private:
  struct Rank {
    bool alive = false;
    bool loaded = false;
    Instant stalled_until;
    Birth birth;
  };
  struct Gang {
    std::map<std::uint32_t, Rank> ranks;
    bool training = false;
    bool stop = false;  // with a checkpoint
    bool checkpoint = false;
    bool ended = false;
    std::uint64_t step = 0;
    std::uint64_t state = 0;
    std::uint32_t slowed = 1;
  };

  void Loaded(const Seat& seat);
  void TakeStep(const core::GangKey& key);
  void Save(const core::GangKey& key, Gang& gang);
  void Finish(const core::GangKey& key, Gang& gang, enginelink::Done::Outcome outcome);
  void CheckAlone(const core::GangKey& key);
  void Schedule(const core::GangKey& key, const Gang& gang);
  static bool Whole(const Gang& gang);

  Scene& scene_;
  std::map<core::GangKey, Gang> gangs_;
  std::map<std::string, std::uint64_t> files_;  // checkpoints by path: the state
};

}  // namespace tutti::simulate
