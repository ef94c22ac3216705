#include "common/httpclient/stop_descriptor.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

#include "common/base/check.h"

namespace tutti::httpclient {

StopDescriptor::StopDescriptor(const std::stop_token& stop)
    : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      callback_(stop, [fd = event_.get()] { ::eventfd_write(fd, 1); }) {
  TUTTI_CHECK(event_.get() >= 0, std::strerror(errno));
}

}  // namespace tutti::httpclient
