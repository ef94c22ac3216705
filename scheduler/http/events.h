// EventHub: live events to many clients as Server-Sent Events. Thread-safe; Publish never waits for
// a client.
//
// Two kinds. Durable events have a sequence number and are kept in a bounded ring; a client that
// reconnects (Last-Event-ID, or ?after=) gets what it missed from the ring, and what is older from
// `older`. A client holds only a place in that sequence, so a slow one costs nothing and misses
// nothing. Volatile events (progress; seq 0) carry no id; a client that is behind gets only the
// latest of each key.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/http/message.h"

namespace tutti::metrics {
class HttpMetrics;
}

namespace tutti::http {

struct Event {
  std::uint64_t seq = 0;  // rising; 0 = volatile
  std::string job = {};   // its id; empty for events of no job
  std::string type = {};  // "progress", "succeeded", …
  std::string data = {};  // one line of JSON
  std::string key = {};   // volatile ones: replaces what waits with the same key; "" = type + job
};

// Older durable events with seq > `after` and, unless it is empty, of `job`: oldest first, at most
// `limit`. May answer at once or later, on any thread; exactly once.
using OlderEvents = std::function<void(std::uint64_t after, std::string job, std::size_t limit,
                                       std::function<void(std::vector<Event>)> done)>;

struct EventHubOptions {
  std::size_t ring_events = 8192;
  std::size_t volatile_keys_max = 256;  // waiting for one client; beyond it they are dropped
  std::size_t batch_events = 64;        // written at once
  OlderEvents older = nullptr;          // none: older events are skipped and counted as dropped
  metrics::HttpMetrics* metrics = nullptr;
};

class EventHub {
 public:
  explicit EventHub(EventHubOptions options);
  ~EventHub();
  EventHub(const EventHub&) = delete;
  EventHub& operator=(const EventHub&) = delete;

  // REQUIRES: a durable event's seq is above all before.
  void Publish(Event event);
  // What was published before this process started: clients beyond the ring ask `older`.
  void SetLastSeq(std::uint64_t seq);

  // The SSE answer. `job` filters by id, "" = all. Without `after`: from now on.
  Response Subscribe(std::string job, std::optional<std::uint64_t> after);
  // The same with `after` from the Last-Event-ID header, else from the query. kInvalid when that is
  // no number.
  Result<Response> Subscribe(const Request& request, std::string job);

  std::size_t Subscribers() const;

 private:
  struct State;
  class Subscription;
  std::shared_ptr<State> state_;
};

// "id: 7\nevent: started\ndata: {…}\n\n"
std::string FormatSse(const Event& event);

}  // namespace tutti::http
