#include "worker/agent/log_shipper.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"

namespace tutti::agent {
namespace {

constexpr std::size_t kChunkBytes = 64 << 10;
constexpr std::int64_t kMarkEveryMs = 200;
constexpr std::size_t kMarksMax = 10'000;  // of one log
constexpr std::size_t kClosedMax = 256;    // logs of ended ranks that wait for a coordinator

}  // namespace

void LogShipper::Prune(const std::filesystem::path& directory, Bytes keep) {
  struct Left {
    std::filesystem::file_time_type written;
    std::filesystem::path path;
    std::int64_t size = 0;
  };
  std::vector<Left> left;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const auto size = static_cast<std::int64_t>(entry.file_size(error));
    if (!error) left.push_back({entry.last_write_time(error), entry.path(), size});
  }
  std::sort(left.begin(), left.end(),
            [](const Left& a, const Left& b) { return a.written > b.written; });
  std::int64_t total = 0;
  for (const Left& file : left) {
    total += file.size;
    if (total > keep.count) std::filesystem::remove(file.path, error);
  }
}

Status LogShipper::Open(const Key& key) {
  const std::string name =
      key.job + "." + std::to_string(key.attempt) + "." + std::to_string(key.rank) + ".log";
  TUTTI_ASSIGN_OR_RETURN(RankLog log,
                         RankLog::Create(options_.directory / name, options_.keep_bytes));
  Stream stream{.log = std::move(log), .marks = {}, .acknowledged = 0, .sent = 0, .again_at = {}};
  const bool fresh = streams_.emplace(key, std::move(stream)).second;
  TUTTI_CHECK(fresh, "a log twice: ", name);
  return {};
}

void LogShipper::Append(const Key& key, std::string_view data) {
  const auto found = streams_.find(key);
  TUTTI_CHECK(found != streams_.end() && !found->second.closed, key.job, " ", key.rank);
  Stream& stream = found->second;
  MarkTime(stream);
  const Status appended = stream.log.Append(data);
  if (!appended && !stream.failing) {
    Log(kError, "rank_output_lost", {{"error", appended.error().ToString()}});
  }
  stream.failing = !appended;
}

void LogShipper::MarkTime(Stream& stream) const {
  const WallTime at = options_.wall_now();
  const bool due =
      stream.marks.empty() || at.unix_ms - stream.marks.back().at.unix_ms >= kMarkEveryMs;
  if (due && stream.marks.size() < kMarksMax) stream.marks.push_back({stream.log.end(), at});
}

void LogShipper::Close(const Key& key) {
  const auto found = streams_.find(key);
  if (found == streams_.end()) return;
  found->second.closed = true;
  RemoveFinished();
}

void LogShipper::Restart(std::uint64_t window_bytes, Instant now) {
  window_bytes_ = std::max<std::uint64_t>(window_bytes, kChunkBytes);
  for (auto& [key, stream] : streams_) stream.sent = stream.acknowledged;
  Tick(now);
}

void LogShipper::Acknowledge(const wire::LogAck& ack, Instant now) {
  const Key key{ack.job(), ack.attempt(), ack.rank()};
  const auto found = streams_.find(key);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  const std::uint64_t up_to = std::min(ack.up_to_offset(), stream.log.end());
  if (stream.jumped && ack.up_to_offset() < stream.acknowledged) {
    stream.sent = stream.acknowledged;  // it asks for what is gone: the same again says so
  }
  if (up_to > stream.acknowledged) {
    stream.jumped = false;
    stream.acknowledged = up_to;
    while (stream.marks.size() > 1 && stream.marks[1].offset <= up_to) stream.marks.pop_front();
    stream.sent = std::max(stream.sent, up_to);
    stream.again_at = now + kAgain;
  }
  for (auto& [other, waiting] : streams_) {  // the window is the job's
    if (other.job == key.job) Pump(other, waiting, now);
  }
  RemoveFinished();
  CallWaiters(now);
}

void LogShipper::Tick(Instant now) {
  for (auto& [key, stream] : streams_) {
    if (stream.sent > stream.acknowledged && now >= stream.again_at) {
      stream.sent = stream.acknowledged;
    }
    Pump(key, stream, now);
  }
  CallWaiters(now);
}

std::uint64_t LogShipper::InFlight(const std::string& job) const {
  std::uint64_t bytes = 0;
  for (const auto& [key, stream] : streams_) {
    if (key.job == job) bytes += stream.sent - stream.acknowledged;
  }
  return bytes;
}

void LogShipper::Pump(const Key& key, Stream& stream, Instant now) {
  while (window_bytes_ > 0 && stream.sent < stream.log.end()) {
    const std::uint64_t in_flight = InFlight(key.job);
    if (in_flight >= window_bytes_) return;
    if (stream.jumped && stream.sent > stream.acknowledged) return;
    std::uint64_t offset = stream.sent;
    // What was written at one time: up to the next mark.
    std::uint64_t size_max = std::min<std::uint64_t>(kChunkBytes, window_bytes_ - in_flight);
    const auto next = std::ranges::upper_bound(stream.marks, std::max(offset, stream.log.begin()),
                                               {}, &Mark::offset);
    if (next != stream.marks.end()) size_max = std::min(size_max, next->offset - offset);
    auto data = stream.log.Read(offset, static_cast<std::size_t>(size_max));
    if (!data) {
      Log(kError, "rank_output_lost", {{"error", data.error().ToString()}});
      stream.sent = stream.acknowledged = stream.log.end();
      return;
    }
    if (offset > stream.sent) {  // dropped from the disk before anybody took it
      stream.sent = stream.acknowledged = offset;
      stream.jumped = true;
    }
    if (data->empty()) return;
    wire::LogChunk chunk;
    chunk.set_job(key.job);
    chunk.set_attempt(key.attempt);
    chunk.set_rank(key.rank);
    chunk.set_offset(offset);
    if (next != stream.marks.begin()) chunk.set_at_unix_ms(std::prev(next)->at.unix_ms);
    const std::size_t size = data->size();
    chunk.set_data(std::move(*data));
    if (!options_.send(chunk)) return;
    if (stream.sent == stream.acknowledged) stream.again_at = now + kAgain;
    stream.sent += size;
  }
}

void LogShipper::RemoveFinished() {
  std::size_t closed = 0;
  for (auto it = streams_.begin(); it != streams_.end();) {
    const bool finished = it->second.closed && it->second.acknowledged == it->second.log.end();
    closed += it->second.closed && !finished ? 1 : 0;
    if (finished) it->second.log.Remove();
    it = finished ? streams_.erase(it) : std::next(it);
  }
  for (auto it = streams_.begin(); it != streams_.end() && closed > kClosedMax;) {
    const bool given_up = it->second.closed;
    if (given_up) it->second.log.Remove();
    closed -= given_up ? 1 : 0;
    it = given_up ? streams_.erase(it) : std::next(it);
  }
}

bool LogShipper::Arrived(const std::string& job, std::uint32_t attempt) const {
  return std::all_of(streams_.begin(), streams_.end(), [&](const auto& entry) {
    return entry.first.job != job || entry.first.attempt != attempt ||
           entry.second.acknowledged == entry.second.log.end();
  });
}

void LogShipper::WhenArrived(const std::string& job, std::uint32_t attempt, Instant now,
                             Duration patience, std::function<void()> then) {
  waiters_.push_back({job, attempt, now + patience, std::move(then)});
  Tick(now);
}

void LogShipper::CallWaiters(Instant now) {
  std::vector<Waiter> due;
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (now >= it->limit || Arrived(it->job, it->attempt)) {
      due.push_back(std::move(*it));
      it = waiters_.erase(it);
    } else {
      ++it;
    }
  }
  for (Waiter& waiter : due) waiter.then();
}

}  // namespace tutti::agent
