// A request to stop as something that poll() sees. Made and destroyed by one thread; the stop may
// come from any.
#pragma once

#include <functional>
#include <stop_token>

#include "common/file/file.h"

namespace tutti::httpclient {

class StopDescriptor {
 public:
  explicit StopDescriptor(const std::stop_token& stop);

  // Readable from the request on; for Request::stop_fd.
  int fd() const { return event_.get(); }

 private:
  UniqueFd event_;
  std::stop_callback<std::function<void()>> callback_;
};

}  // namespace tutti::httpclient
