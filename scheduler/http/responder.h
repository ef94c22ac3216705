// The one answer to one request. Copies share it; any thread may send, from inside the handler or
// long after. The first Send counts, further ones are refused. When the last copy goes and nobody
// has answered, the client gets a 500.
#pragma once

#include <functional>
#include <memory>

#include "scheduler/http/message.h"

namespace tutti::http {

class Responder {
 public:
  using Deliver = std::function<void(Response)>;  // thread-safe

  explicit Responder(Deliver deliver);

  // False when it was answered before (a bug of the caller, logged).
  bool Send(Response response) const;
  bool Send(const Error& error) const { return Send(ErrorResponse(error)); }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tutti::http
