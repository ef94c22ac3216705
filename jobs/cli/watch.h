// The coordinator's event stream as a source that outlives the coordinator: reconnects with
// back-off, reads endpoint.json again, goes on after the last durable event. Main thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "jobs/client/api.h"
#include "jobs/client/sse.h"

namespace tutti::cli {

struct WatchItem {
  enum class Kind {
    kEvent,        // `event`
    kQuiet,        // nothing came in time
    kLost,         // the connection ended, `error` says how; it tries again
    kBack,         // connected again after kLost
    kGone,         // gave up: `error`
    kInterrupted,  // Ctrl-C
  };
  Kind kind = Kind::kQuiet;
  client::ServerEvent event{};
  Error error{};
};

class EventWatch {
 public:
  // How long a coordinator may stay away.
  static constexpr Duration kGrace = std::chrono::seconds(60);
  // Without any byte for so long (it sends a comment every 15 s) the connection counts as dead.
  static constexpr Duration kSilence = std::chrono::seconds(45);

  // `job`: that one's events from its first on; "" = those of all jobs from now on.
  EventWatch(client::Client& client, std::string job) : client_(client), job_(std::move(job)) {}

  // Waits at most `patience`.
  WatchItem Next(Duration patience);

 private:
  WatchItem Connect(Duration patience);
  WatchItem Lose(Error error);

  client::Client& client_;
  std::string job_;
  std::unique_ptr<httpclient::Incoming> stream_;
  client::EventParser parser_;
  std::vector<client::ServerEvent> ready_;  // in reverse order
  std::string last_id_;
  std::optional<Instant> lost_since_;
  Instant retry_at_{};
  Instant last_byte_{};
  client::Backoff backoff_;
};

}  // namespace tutti::cli
