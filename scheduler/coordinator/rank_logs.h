// RankLogs: the output of ranks as files below logs/JOB/ATTEMPT.RANK.log, written by one thread of
// its own. At most kJobLogMax a job: what comes later is acknowledged and left out, with a note.
//
// Append from any thread; Read from any thread, from the files alone.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/units.h"

namespace tutti::coordinator {

inline constexpr Bytes kJobLogMax{64 << 20};

struct LogKey {
  JobId job;
  Attempt attempt{};
  std::uint32_t rank = 0;
  auto operator<=>(const LogKey&) const = default;
};

struct LogPiece {
  LogKey key;
  std::uint64_t offset = 0;  // in the rank's output of this attempt
  std::string data;
  std::int64_t at_unix_ms = 0;  // when its first byte was written; 0: unknown
  // What is kept (or left out on purpose) up to here; the worker goes on from there. Not called
  // when the piece could not be written: the worker sends it again.
  std::function<void(std::uint64_t up_to_offset)> acknowledge;
};

class RankLogs {
 public:
  explicit RankLogs(std::filesystem::path directory, Bytes job_max = kJobLogMax);
  ~RankLogs();  // Stop()
  RankLogs(const RankLogs&) = delete;
  RankLogs& operator=(const RankLogs&) = delete;

  // What was appended is written, then the thread ends: no piece is acknowledged any more.
  void Stop();

  // Dropped when too much waits: the worker sends it again.
  void Append(LogPiece piece);
  // All of a job's output goes.
  void Remove(JobId job);

  struct Slice {
    std::string text;
    std::uint64_t next_offset = 0;
  };
  // From `offset`, at most `limit` bytes. A log that is not there is empty.
  Result<Slice> Read(const LogKey& key, std::uint64_t offset, std::size_t limit) const;
  // Where log_lines.h finds them.
  std::filesystem::path FolderOf(JobId job) const { return directory_ / job.ToString(); }

 private:
  struct Known {
    std::uint64_t size = 0;
    std::uint64_t gap_at = 0;         // a piece beyond the end came with this offset before
    std::int64_t marked_unix_ms = 0;  // the newest mark of its time
  };
  struct JobLogs {
    std::uint64_t total = 0;
    bool full = false;
    std::map<LogKey, Known> files;
  };

  void Run();
  void Write(const LogPiece& piece);
  void MarkTime(const LogPiece& piece, std::uint64_t start, Known& file) const;
  void Erase(JobId job);
  JobLogs& LogsOf(JobId job);
  std::filesystem::path PathOf(const LogKey& key) const;

  const std::filesystem::path directory_;
  const std::uint64_t job_max_;
  std::map<JobId, JobLogs> jobs_;  // of the thread

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::variant<LogPiece, JobId>> waiting_;  // to write, to remove
  std::size_t waiting_bytes_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tutti::coordinator
