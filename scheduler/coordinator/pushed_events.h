// An answer that grows: server-sent events that one side pushes and the server takes as the client
// reads them. At most kUnreadBytesMax wait for a slow client. Any thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "scheduler/http/message.h"

namespace tutti::coordinator {

inline constexpr std::size_t kUnreadBytesMax = std::size_t{1} << 20;

class PushedEvents : public std::enable_shared_from_this<PushedEvents> {
 public:
  // `data` is one line. Nothing is taken after the last one; once one did not fit, none but the
  // last is taken any more.
  void Push(std::string_view type, std::string_view data, bool last);
  // The answer, once. `gone` runs when the client has all of it or went away, on an I/O thread.
  http::Response Respond(std::function<void()> gone);

 private:
  void Pull(http::PieceSink sink);

  std::mutex mutex_;  // guards all below
  std::string waiting_;
  bool full_ = false;
  bool last_ = false;
  http::PieceSink sink_;
};

}  // namespace tutti::coordinator
