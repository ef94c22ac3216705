// Output of ranks on its way to the coordinator: kept on disk (rank_log.h), sent piece by piece
// within a window of unacknowledged bytes a job, sent again from the last acknowledgement when none
// comes. A slow or absent coordinator never stops a rank: the disk is the buffer.
//
// Owned by the agent, on its loop's thread; `now` comes from outside.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "common/wire/messages.pb.h"
#include "worker/agent/rank_log.h"

namespace tutti::agent {

class LogShipper {
 public:
  struct Key {
    std::string job;
    std::uint32_t attempt = 0;
    std::uint32_t rank = 0;  // of the gang
    auto operator<=>(const Key&) const = default;
  };
  struct Options {
    std::filesystem::path directory;  // exists
    std::function<bool(const wire::LogChunk&)> send;
    std::uint64_t keep_bytes = RankLog::kKeepBytes;
    std::function<WallTime()> wall_now = WallNow;
  };

  // Removes the oldest of what an earlier process left in `directory` until at most `keep` is left.
  static void Prune(const std::filesystem::path& directory, Bytes keep);

  explicit LogShipper(Options options) : options_(std::move(options)) {}

  Status Open(const Key& key);
  void Append(const Key& key, std::string_view data);
  // Nothing more comes; its file goes once all of it has arrived.
  void Close(const Key& key);

  // There is a listener, perhaps a new one: what it did not acknowledge is sent again.
  void Restart(std::uint64_t window_bytes, Instant now);
  void Acknowledge(const wire::LogAck& ack, Instant now);
  // Sends what may be sent, and again what was not acknowledged for kAgain.
  void Tick(Instant now);

  // Calls `then` once everything of the attempt has arrived, or `patience` later; perhaps at once.
  void WhenArrived(const std::string& job, std::uint32_t attempt, Instant now, Duration patience,
                   std::function<void()> then);

  static constexpr Duration kAgain = std::chrono::seconds(2);

 private:
  // What follows `offset` was written then or later.
  struct Mark {
    std::uint64_t offset = 0;
    WallTime at;
  };
  struct Stream {
    RankLog log;
    std::deque<Mark> marks;  // the last one at or before `acknowledged`, and those behind it
    std::uint64_t acknowledged = 0;
    std::uint64_t sent = 0;
    Instant again_at;  // while sent > acknowledged
    bool closed = false;
    bool failing = false;  // the disk refused; said once
    // What came before `acknowledged` was dropped here, and the coordinator does not know yet: one
    // piece at a time, until it has taken one from behind the gap.
    bool jumped = false;
  };
  struct Waiter {
    std::string job;
    std::uint32_t attempt = 0;
    Instant limit;
    std::function<void()> then;
  };

  void Pump(const Key& key, Stream& stream, Instant now);
  void MarkTime(Stream& stream) const;
  std::uint64_t InFlight(const std::string& job) const;
  bool Arrived(const std::string& job, std::uint32_t attempt) const;
  void CallWaiters(Instant now);
  void RemoveFinished();

  Options options_;
  std::uint64_t window_bytes_ = 0;  // 0: nobody listens yet
  std::map<Key, Stream> streams_;
  std::vector<Waiter> waiters_;
};

}  // namespace tutti::agent
