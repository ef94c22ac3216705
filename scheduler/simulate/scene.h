// What the parts of one fault run share: the virtual clock and its events, the seed's random
// numbers, the network, and the book of faults and broken promises. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "scheduler/simulate/faults.h"
#include "scheduler/simulate/random.h"

namespace tutti::simulate {

class Scene {
 public:
  explicit Scene(const FaultOptions& options)
      : random(options.seed), planted(options.planted), links_(kLinks) {}

  Random random;
  const Planted planted;
  bool healed = false;

  Instant now() const { return now_; }
  void After(Duration delay, std::function<void()> then);
  // Runs what is due until then, or until a promise is broken.
  void RunUntil(Instant end);

  // Into the trace's hash.
  void Note(std::uint64_t what, std::uint64_t a = 0, std::uint64_t b = 0);
  std::uint64_t hash() const { return hash_; }

  void Fault() { ++faults_; }
  // Whether this goes wrong now, with that probability; counted. Never once all is healed.
  bool Goes(double probability);
  std::uint64_t faults() const { return faults_; }

  void Broken(const std::string& promise);
  const std::vector<std::string>& violations() const { return violations_; }

  // ---- the network: one link to and from each worker, and one to the clients ----
  static constexpr std::size_t kLinks = 16;
  static constexpr std::size_t kClients = kLinks - 1;
  // Delivered after a while, perhaps twice, late (behind others), or never.
  void Send(std::size_t link, bool to_coordinator, const std::function<void()>& deliver);
  void Partition(std::size_t link, bool to_coordinator, bool cut);
  void Heal();

 private:
  struct Event {
    Instant at;
    std::uint64_t sequence = 0;
    std::function<void()> then;
    bool operator<(const Event& other) const {  // the earliest is the greatest
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  struct Link {
    bool cut_up = false;    // to the coordinator
    bool cut_down = false;  // from it
  };

  Instant now_;
  std::uint64_t sequence_ = 0;
  std::priority_queue<Event> events_;
  std::uint64_t hash_ = 0;
  std::uint64_t faults_ = 0;
  std::vector<std::string> violations_;
  std::vector<Link> links_;
};

}  // namespace tutti::simulate
