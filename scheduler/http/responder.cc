#include "scheduler/http/responder.h"

#include <atomic>
#include <utility>

#include "common/base/log.h"

namespace tutti::http {

struct Responder::State {
  explicit State(Deliver d) : deliver(std::move(d)) {}
  ~State() {
    if (answered.exchange(true)) return;
    Log(kError, "http_request_unanswered");
    deliver(
        ErrorResponse(Error{ErrorCode::kInternal, "the request was dropped without an answer"}));
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Deliver deliver;
  std::atomic<bool> answered{false};
};

Responder::Responder(Deliver deliver) : state_(std::make_shared<State>(std::move(deliver))) {}

bool Responder::Send(Response response) const {
  if (state_->answered.exchange(true)) {
    Log(kError, "http_request_answered_twice", {{"status", response.status}});
    return false;
  }
  state_->deliver(std::move(response));
  return true;
}

}  // namespace tutti::http
