#include "scheduler/coordinator/pushed_events.h"

#include <utility>

namespace tutti::coordinator {
namespace {

using namespace std::chrono_literals;

// Goes with the stream.
class Gone {
 public:
  explicit Gone(std::function<void()> tell) : tell_(std::move(tell)) {}
  ~Gone() { tell_(); }
  Gone(const Gone&) = delete;
  Gone& operator=(const Gone&) = delete;

 private:
  std::function<void()> tell_;
};

}  // namespace

void PushedEvents::Push(std::string_view type, std::string_view data, bool last) {
  http::PieceSink sink;
  std::string piece;
  {
    const std::lock_guard lock(mutex_);
    if (last_) return;
    full_ = full_ || waiting_.size() + type.size() + data.size() > kUnreadBytesMax;
    if (full_ && !last) return;
    waiting_.append("event: ").append(type).append("\ndata: ").append(data).append("\n\n");
    last_ = last;
    sink = std::exchange(sink_, nullptr);
    if (sink) piece = std::exchange(waiting_, {});
  }
  if (sink) sink(std::move(piece), last);
}

void PushedEvents::Pull(http::PieceSink sink) {
  std::string piece;
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty() && !last_) {
      sink_ = std::move(sink);
      return;
    }
    piece = std::exchange(waiting_, {});
    last = last_;
  }
  sink(std::move(piece), last);
}

http::Response PushedEvents::Respond(std::function<void()> gone) {
  return {.headers = {{"content-type", "text/event-stream"}, {"cache-control", "no-store"}},
          .body = http::StreamBody{
              .pull = [self = shared_from_this(), goes = std::make_shared<Gone>(std::move(gone))](
                          http::PieceSink sink) { self->Pull(std::move(sink)); },
              .heartbeat = ":\n\n",
              .heartbeat_every = 5s}};
}

}  // namespace tutti::coordinator
