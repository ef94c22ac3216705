#include "worker/agent/rank_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

fs::path Older(const fs::path& path) { return fs::path(path.string() + ".1"); }

Result<UniqueFd> CreateFile(const fs::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) return Fail(ErrnoError("cannot create", path.string(), errno));
  return fd;
}

}  // namespace

Result<RankLog> RankLog::Create(fs::path path, std::uint64_t keep_bytes) {
  RankLog log;
  log.half_bytes_ = std::max<std::uint64_t>(keep_bytes / 2, 1);
  unlink(Older(path).c_str());
  TUTTI_ASSIGN_OR_RETURN(log.newer_, CreateFile(path));
  log.path_ = std::move(path);
  return log;
}

Status RankLog::Turn() {
  if (rename(path_.c_str(), Older(path_).c_str()) != 0) {
    return Fail(ErrnoError("cannot rename", path_.string(), errno));
  }
  TUTTI_ASSIGN_OR_RETURN(UniqueFd fresh, CreateFile(path_));
  older_ = std::exchange(newer_, std::move(fresh));
  older_begin_ = std::exchange(newer_begin_, end_);
  return {};
}

Status RankLog::Append(std::string_view data) {
  while (!data.empty()) {
    if (end_ - newer_begin_ >= half_bytes_) TUTTI_RETURN_IF_ERROR(Turn());
    const auto room = static_cast<std::size_t>(half_bytes_ - (end_ - newer_begin_));
    const ssize_t size = write(newer_.get(), data.data(), std::min(room, data.size()));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Fail(ErrnoError("cannot write", path_.string(), errno));
    end_ += static_cast<std::uint64_t>(size);
    data.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

Result<std::string> RankLog::Read(std::uint64_t& offset, std::size_t max) const {
  offset = std::clamp(offset, begin(), end_);
  const bool in_newer = offset >= newer_begin_;
  const std::uint64_t file_begin = in_newer ? newer_begin_ : older_begin_;
  const std::uint64_t file_end = in_newer ? end_ : newer_begin_;
  std::string data(static_cast<std::size_t>(std::min<std::uint64_t>(max, file_end - offset)), '\0');
  std::size_t filled = 0;
  while (filled < data.size()) {
    const ssize_t size =
        pread(in_newer ? newer_.get() : older_.get(), data.data() + filled, data.size() - filled,
              static_cast<off_t>(offset - file_begin + filled));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Fail(ErrnoError("cannot read", path_.string(), size < 0 ? errno : EIO));
    filled += static_cast<std::size_t>(size);
  }
  return data;
}

void RankLog::Remove() {
  newer_.Reset();
  older_.Reset();
  unlink(path_.c_str());
  unlink(Older(path_).c_str());
}

}  // namespace tutti::agent
