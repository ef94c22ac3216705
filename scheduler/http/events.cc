#include "scheduler/http/events.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <mutex>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "common/base/check.h"
#include "monitoring/metrics/metrics.h"

namespace tutti::http {

// Every event, durable or not, also gets an order number: what a client reads is sorted by it.
struct Ordered {
  std::uint64_t order = 0;
  Event event;
};

struct EventHub::State {
  explicit State(EventHubOptions o) : options(std::move(o)) {}

  const EventHubOptions options;
  std::mutex mutex;  // guards everything below, and the subscriptions' fields
  std::uint64_t next_order = 1;
  std::uint64_t last_seq = 0;     // of the newest durable event
  std::uint64_t before_ring = 0;  // durable events up to here are not in the ring
  std::deque<Ordered> ring;       // durable ones, rising seq
  std::unordered_set<Subscription*> subscriptions;
};

class EventHub::Subscription : public std::enable_shared_from_this<Subscription> {
 public:
  Subscription(std::shared_ptr<State> state, std::string job, std::optional<std::uint64_t> after)
      : state_(std::move(state)), job_(std::move(job)) {
    const std::lock_guard lock(state_->mutex);
    seen_ = after.value_or(state_->last_seq);
    // A client of another life of the data directory may know numbers that don't exist yet.
    seen_ = std::min(seen_, state_->last_seq);
    state_->subscriptions.insert(this);
    Report();
  }
  ~Subscription() {
    const std::lock_guard lock(state_->mutex);
    state_->subscriptions.erase(this);
    Report();
  }
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  bool Wants(const Event& event) const { return job_.empty() || event.job == job_; }

  // Keeps a volatile event, replacing the one with its key. REQUIRES: the mutex.
  void Keep(const Ordered& ordered) {
    const auto same = std::find_if(waiting_.begin(), waiting_.end(), [&](const Ordered& other) {
      return other.event.key == ordered.event.key;
    });
    if (same != waiting_.end()) {
      waiting_.erase(same);
    } else if (waiting_.size() >= state_->options.volatile_keys_max) {
      Dropped(1);
      return;
    }
    waiting_.push_back(ordered);
  }

  // The sink that waits, if any, to be called without the mutex. REQUIRES: the mutex.
  PieceSink TakeSink() { return std::exchange(sink_, nullptr); }

  void Pull(PieceSink sink) {
    std::string piece;
    std::uint64_t after = 0;
    std::uint64_t until = 0;
    bool ask = false;
    {
      const std::lock_guard lock(state_->mutex);
      ask = seen_ < state_->before_ring && state_->options.older;
      if (ask) {
        after = seen_;
        until = state_->before_ring;
      } else {
        if (seen_ < state_->before_ring) {
          Dropped(state_->before_ring - seen_);
          seen_ = state_->before_ring;
        }
        piece = Collect();
        if (piece.empty()) {
          sink_ = std::move(sink);
          return;
        }
      }
    }
    if (!ask) {
      sink(std::move(piece), false);
      return;
    }
    state_->options.older(after, job_, state_->options.batch_events,
                          [self = shared_from_this(), until, sink = std::move(sink)](
                              std::vector<Event> events) { self->Older(events, until, sink); });
  }

 private:
  void Report() const {
    if (state_->options.metrics != nullptr) {
      state_->options.metrics->SseSubscribers(
          static_cast<std::int64_t>(state_->subscriptions.size()));
    }
  }

  void Dropped(std::uint64_t events) const {
    if (state_->options.metrics != nullptr) state_->options.metrics->SseDropped(events);
  }

  // A page of older events; `until` was the end of what the ring had lost when it was asked for.
  void Older(const std::vector<Event>& events, std::uint64_t until, const PieceSink& sink) {
    std::string piece;
    {
      const std::lock_guard lock(state_->mutex);
      for (const Event& event : events) {
        if (event.seq <= seen_) continue;
        seen_ = event.seq;
        piece += FormatSse(event);
      }
      // A page that brings nothing new ends the search, whatever its size.
      const bool more = events.size() >= state_->options.batch_events && !piece.empty();
      if (!more) seen_ = std::max(seen_, until);
    }
    sink(std::move(piece), false);
  }

  // What the client has not seen, at most a batch of durable events. REQUIRES: the mutex.
  std::string Collect() {
    std::vector<const Ordered*> durable;
    const auto& ring = state_->ring;
    auto next = std::partition_point(ring.begin(), ring.end(), [&](const Ordered& ordered) {
      return ordered.event.seq <= seen_;
    });
    for (; next != ring.end() && durable.size() < state_->options.batch_events; ++next) {
      seen_ = next->event.seq;
      if (Wants(next->event)) durable.push_back(&*next);
    }
    const std::uint64_t until = next == ring.end() ? state_->next_order : next->order;
    std::string piece;
    auto volatile_end = waiting_.begin();
    for (const Ordered* ordered : durable) {
      for (; volatile_end != waiting_.end() && volatile_end->order < ordered->order;
           ++volatile_end) {
        piece += FormatSse(volatile_end->event);
      }
      piece += FormatSse(ordered->event);
    }
    for (; volatile_end != waiting_.end() && volatile_end->order < until; ++volatile_end) {
      piece += FormatSse(volatile_end->event);
    }
    waiting_.erase(waiting_.begin(), volatile_end);
    return piece;
  }

  const std::shared_ptr<State> state_;
  const std::string job_;
  std::uint64_t seen_ = 0;       // durable events up to here were sent, or are of other jobs
  std::deque<Ordered> waiting_;  // volatile ones, rising order, one a key
  PieceSink sink_;               // the pull that waits
};

EventHub::EventHub(EventHubOptions options) : state_(std::make_shared<State>(std::move(options))) {}
EventHub::~EventHub() = default;

void EventHub::SetLastSeq(std::uint64_t seq) {
  const std::lock_guard lock(state_->mutex);
  TUTTI_CHECK(state_->ring.empty(), "SetLastSeq comes before the first event");
  state_->last_seq = seq;
  state_->before_ring = seq;
}

void EventHub::Publish(Event event) {
  std::vector<PieceSink> wake;
  {
    const std::lock_guard lock(state_->mutex);
    if (event.key.empty()) event.key = event.type + ' ' + event.job;
    Ordered ordered{state_->next_order++, std::move(event)};
    const bool durable = ordered.event.seq != 0;
    if (durable) {
      TUTTI_CHECK(ordered.event.seq > state_->last_seq, "event ", ordered.event.seq, " after ",
                  state_->last_seq);
      state_->last_seq = ordered.event.seq;
    }
    for (Subscription* subscription : state_->subscriptions) {
      if (!subscription->Wants(ordered.event)) continue;
      if (!durable) subscription->Keep(ordered);
      if (PieceSink sink = subscription->TakeSink()) wake.push_back(std::move(sink));
    }
    if (durable) {
      state_->ring.push_back(std::move(ordered));
      while (state_->ring.size() > state_->options.ring_events) {
        state_->before_ring = state_->ring.front().event.seq;
        state_->ring.pop_front();
      }
    }
  }
  // Only "pull again": each client's I/O thread writes its own text.
  for (const PieceSink& sink : wake) sink({}, false);
}

Response EventHub::Subscribe(std::string job, std::optional<std::uint64_t> after) {
  auto subscription = std::make_shared<Subscription>(state_, std::move(job), after);
  return {.headers = {{"content-type", "text/event-stream"}},
          .body = StreamBody{
              .pull = [subscription](PieceSink sink) { subscription->Pull(std::move(sink)); },
              .heartbeat = ": heartbeat\n\n"}};
}

Result<Response> EventHub::Subscribe(const Request& request, std::string job) {
  std::optional<std::string_view> text = request.Header("last-event-id");
  if (!text) text = request.Query("after");
  std::optional<std::uint64_t> after;
  if (text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{} || end != text->data() + text->size()) {
      return Fail(ErrorCode::kInvalid, "'" + std::string(*text) + "' is no event number", "after");
    }
    after = number;
  }
  return Subscribe(std::move(job), after);
}

std::size_t EventHub::Subscribers() const {
  const std::lock_guard lock(state_->mutex);
  return state_->subscriptions.size();
}

std::string FormatSse(const Event& event) {
  std::string text;
  if (event.seq != 0) text += "id: " + std::to_string(event.seq) + "\n";
  text += "event: " + event.type + "\ndata: ";
  for (const char c : event.data) {
    text.push_back(c);
    if (c == '\n') text += "data: ";
  }
  return text + "\n\n";
}

}  // namespace tutti::http
