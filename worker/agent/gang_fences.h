// The fences of one gang on several machines: sent to the coordinator until it answers with what
// every machine contributed.
//
// Owned by a Gang, on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/base/time.h"
#include "common/wire/messages.pb.h"
#include "worker/agent/pmix.h"

namespace tutti::agent {

class GangFences {
 public:
  using Send = std::function<void(const wire::Fence&)>;
  GangFences(std::string job, std::uint32_t attempt, Send send)
      : job_(std::move(job)), attempt_(attempt), send_(std::move(send)) {}
  ~GangFences() { Abandon(); }
  GangFences(const GangFences&) = delete;
  GangFences& operator=(const GangFences&) = delete;

  void Begin(PmixFence fence);
  void Finish(const wire::FenceDone& done);
  // Sends again what has no answer for kRepeat.
  void Tick(Instant now);
  // All of them, answered ones too: a coordinator that restarted knows none, and a machine that
  // missed the answer needs every machine's.
  void SendAll();
  // The gang cannot meet any more: the library is told, so that it waits for nobody.
  void Abandon();

  static constexpr Duration kRepeat = std::chrono::seconds(1);

 private:
  struct Met {
    std::string data;
    Instant sent;
    std::function<void(std::optional<std::string>)> answer;  // null once answered
  };
  void SendOne(std::uint32_t sequence, Met& met);

  std::string job_;
  std::uint32_t attempt_;
  Send send_;
  std::map<std::uint32_t, Met> met_;  // by sequence: 1, 2, …; MPI needs three or four
};

}  // namespace tutti::agent
