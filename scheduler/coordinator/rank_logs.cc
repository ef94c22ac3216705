#include "scheduler/coordinator/rank_logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "common/base/log.h"
#include "common/file/file.h"
#include "scheduler/coordinator/log_lines.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWaitingBytesMax = std::size_t{64} << 20;
constexpr std::size_t kJobsRemembered = 1000;
constexpr std::int64_t kMarkEveryMs = 200;

Status WriteAt(const fs::path& path, std::uint64_t offset, std::string_view data) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Fail(ErrnoError("cannot open", path.string(), errno));
  while (!data.empty()) {
    const ssize_t count = ::pwrite(fd.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("cannot write", path.string(), errno));
    data.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

// "2.0.log" → attempt 2, rank 0.
bool ParseName(std::string_view name, LogKey& key) {
  std::uint32_t attempt = 0;
  std::uint32_t rank = 0;
  const char* end = name.data() + name.size();
  const auto first = std::from_chars(name.data(), end, attempt);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.') return false;
  const auto second = std::from_chars(first.ptr + 1, end, rank);
  if (second.ec != std::errc{}) return false;
  key.attempt = Attempt{attempt};
  key.rank = rank;
  return std::string_view(second.ptr, static_cast<std::size_t>(end - second.ptr)) == ".log";
}

}  // namespace

RankLogs::RankLogs(fs::path directory, Bytes job_max)
    : directory_(std::move(directory)), job_max_(static_cast<std::uint64_t>(job_max.count)) {
  thread_ = std::thread([this] { Run(); });
}

RankLogs::~RankLogs() { Stop(); }

void RankLogs::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void RankLogs::Append(LogPiece piece) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_bytes_ + piece.data.size() > kWaitingBytesMax) return;
    waiting_bytes_ += piece.data.size();
    waiting_.emplace_back(std::move(piece));
  }
  wake_.notify_one();
}

void RankLogs::Remove(JobId job) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(job);
  }
  wake_.notify_one();
}

void RankLogs::Run() {
  for (;;) {
    std::deque<std::variant<LogPiece, JobId>> tasks;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      tasks.swap(waiting_);
      waiting_bytes_ = 0;
    }
    for (const auto& task : tasks) {
      if (const auto* piece = std::get_if<LogPiece>(&task)) Write(*piece);
      if (const auto* job = std::get_if<JobId>(&task)) Erase(*job);
    }
  }
}

void RankLogs::Erase(JobId job) {
  jobs_.erase(job);
  if (const Status removed = RemoveTree(directory_ / job.ToString()); !removed) {
    Log(kWarning, "rank_logs_not_removed", {{"error", removed.error().ToString()}});
  }
}

fs::path RankLogs::PathOf(const LogKey& key) const {
  return FolderOf(key.job) / LogFileName(key.attempt, key.rank);
}

// What earlier lives of the coordinator have kept counts.
RankLogs::JobLogs& RankLogs::LogsOf(JobId job) {
  const auto known = jobs_.find(job);
  if (known != jobs_.end()) return known->second;
  if (jobs_.size() >= kJobsRemembered) jobs_.clear();  // all of it is on disk
  JobLogs& logs = jobs_[job];
  std::error_code error;
  for (fs::directory_iterator entry(directory_ / job.ToString(), error), end;
       !error && entry != end; entry.increment(error)) {
    LogKey key{.job = job};
    if (!ParseName(entry->path().filename().string(), key)) continue;
    std::error_code failed;
    const std::uintmax_t size = fs::file_size(entry->path(), failed);
    if (failed) continue;
    logs.files[key].size = size;
    logs.total += size;
  }
  logs.full = logs.total >= job_max_;
  return logs;
}

void RankLogs::Write(const LogPiece& piece) {
  JobLogs& logs = LogsOf(piece.key.job);
  const std::uint64_t end = piece.offset + piece.data.size();
  if (logs.full) return piece.acknowledge(end);
  Known& file = logs.files[piece.key];
  if (end <= file.size) return piece.acknowledge(file.size);
  if (piece.offset > file.size && file.gap_at != piece.offset) {
    // Pieces between were lost on the way: the worker goes back, if it still has them.
    file.gap_at = piece.offset;
    return piece.acknowledge(file.size);
  }
  const fs::path path = PathOf(piece.key);
  // Bytes that nobody has any more stay a hole, so that offsets remain those of the rank's output.
  const std::uint64_t start = std::max(piece.offset, file.size);
  std::string_view fresh = std::string_view(piece.data).substr(start - piece.offset);
  const std::uint64_t room = job_max_ - std::min(job_max_, logs.total + (start - file.size));
  std::string cut;
  if (fresh.size() > room) {
    logs.full = true;
    cut = std::string(fresh.substr(0, room)) + "\n[tutti] the logs of this job reached " +
          FormatBytes({static_cast<std::int64_t>(job_max_)}) + "; what follows is not kept here\n";
    fresh = cut;
  }
  Status written = MakeDirectories(path.parent_path());
  if (written) written = WriteAt(path, start, fresh);
  if (!written) {
    logs.full = false;
    Log(kWarning, "rank_log_not_written", {{"error", written.error().ToString()}});
    return;
  }
  MarkTime(piece, start, file);
  logs.total += start + fresh.size() - file.size;
  file.size = start + fresh.size();
  file.gap_at = 0;
  piece.acknowledge(logs.full ? end : file.size);
}

// Lines without a time are no harm: a mark that cannot be written is left out.
void RankLogs::MarkTime(const LogPiece& piece, std::uint64_t start, Known& file) const {
  if (piece.at_unix_ms < file.marked_unix_ms + kMarkEveryMs) return;
  const fs::path path = FolderOf(piece.key.job) / MarksFileName(piece.key.attempt, piece.key.rank);
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  const std::uint64_t end = error ? 0 : size / sizeof(LogMark) * sizeof(LogMark);
  if (end >= kMarksBytesMax) return;
  const LogMark mark{.offset = start, .unix_ms = piece.at_unix_ms};
  const std::string_view bytes(reinterpret_cast<const char*>(&mark), sizeof mark);
  if (WriteAt(path, end, bytes)) file.marked_unix_ms = piece.at_unix_ms;
}

Result<RankLogs::Slice> RankLogs::Read(const LogKey& key, std::uint64_t offset,
                                       std::size_t limit) const {
  const fs::path path = PathOf(key);
  Slice slice{.text = {}, .next_offset = offset};
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return slice;
  if (!fd) return Fail(ErrnoError("cannot open", path.string(), errno));
  slice.text.resize(limit);
  const ssize_t count = ::pread(fd.get(), slice.text.data(), limit, static_cast<off_t>(offset));
  if (count < 0) return Fail(ErrnoError("cannot read", path.string(), errno));
  slice.text.resize(static_cast<std::size_t>(count));
  slice.next_offset = offset + slice.text.size();
  return slice;
}

}  // namespace tutti::coordinator
