#include "common/file/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>

namespace tutti {
namespace {

namespace fs = std::filesystem;

// Unique within the machine for the time the file lives: process, then a count.
fs::path TemporaryBeside(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  fs::path temporary = path;
  temporary += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
  return temporary;
}

fs::path FolderOf(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

Status CopyContents(const fs::path& from, const fs::path& to) {
  UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return Fail(ErrnoError("cannot open", from.string(), errno));
  UniqueFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!out) return Fail(ErrnoError("cannot create", to.string(), errno));
  if (::ioctl(out.get(), FICLONE, in.get()) == 0) return {};
  std::string block(std::size_t{1} << 20, '\0');
  for (;;) {
    const ssize_t count = ::read(in.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("cannot read", from.string(), errno));
    if (count == 0) break;
    TUTTI_RETURN_IF_ERROR(
        WriteAll(out.get(), std::as_bytes(std::span(block.data(), static_cast<std::size_t>(count))),
                 to.string()));
  }
  if (::fdatasync(out.get()) != 0) return Fail(ErrnoError("cannot sync", to.string(), errno));
  return {};
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void UniqueFd::Reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<std::string> ReadFile(const fs::path& path, Bytes max) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Fail(ErrnoError("cannot open", path.string(), errno));
  const auto too_large = [&] {
    return Fail(ErrorCode::kTooLarge, "file is larger than " + FormatBytes(max), path.string());
  };
  struct stat about = {};
  if (::fstat(fd.get(), &about) == 0 && S_ISREG(about.st_mode) && about.st_size > max.count) {
    return too_large();
  }
  std::string data;
  std::string block(std::size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t count = ::read(fd.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("cannot read", path.string(), errno));
    if (count == 0) return data;
    data.append(block, 0, static_cast<std::size_t>(count));
    if (static_cast<std::int64_t>(data.size()) > max.count) return too_large();
  }
}

Status WriteAll(int fd, std::span<const std::byte> data, const std::string& path_for_errors) {
  while (!data.empty()) {
    const ssize_t count = ::write(fd, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("cannot write", path_for_errors, errno));
    data = data.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status WriteFileAtomically(const fs::path& path, std::string_view data, WriteOptions options) {
  const fs::path temporary = TemporaryBeside(path);
  const auto write = [&]() -> Status {
    UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, options.mode));
    if (!fd) return Fail(ErrnoError("cannot create", temporary.string(), errno));
    TUTTI_RETURN_IF_ERROR(WriteAll(fd.get(), std::as_bytes(std::span(data)), temporary.string()));
    if (options.durable && ::fdatasync(fd.get()) != 0) {
      return Fail(ErrnoError("cannot sync", temporary.string(), errno));
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return Fail(ErrnoError("cannot rename into place", path.string(), errno));
    }
    return {};
  };
  if (Status status = write(); !status) {
    ::unlink(temporary.c_str());
    return status;
  }
  return options.durable ? SyncDirectory(FolderOf(path)) : Status{};
}

Status SyncDirectory(const fs::path& directory) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Fail(ErrnoError("cannot open folder", directory.string(), errno));
  if (::fsync(fd.get()) != 0)
    return Fail(ErrnoError("cannot sync folder", directory.string(), errno));
  return {};
}

Status MakeDirectories(const fs::path& path, unsigned mode) {
  if (path.empty()) return {};
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == ENOENT && path.has_parent_path() && path.parent_path() != path) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(path.parent_path(), mode));
    if (::mkdir(path.c_str(), mode) == 0) return {};
  }
  const int error_number = errno;
  std::error_code ignored;
  if (error_number == EEXIST && fs::is_directory(path, ignored)) return {};
  return Fail(ErrnoError("cannot make folder", path.string(), error_number));
}

Status RemoveTree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return Fail(ErrnoError("cannot remove", path.string(), error.value()));
  return {};
}

Status LinkOrCopy(const fs::path& from, const fs::path& to) {
  const fs::path temporary = TemporaryBeside(to);
  // Of what a link leads to: link(2) would make another name of the link itself.
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    if (Status status = CopyContents(from, temporary); !status) {
      ::unlink(temporary.c_str());
      return status;
    }
  }
  if (::rename(temporary.c_str(), to.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(temporary.c_str());
    return Fail(ErrnoError("cannot rename into place", to.string(), error_number));
  }
  // rename(2) of two links of one file does nothing and leaves both names.
  ::unlink(temporary.c_str());
  return {};
}

Result<Bytes> FreeSpace(const fs::path& path) {
  struct statvfs stat {};
  if (::statvfs(path.c_str(), &stat) != 0)
    return Fail(ErrnoError("cannot stat", path.string(), errno));
  return Bytes{static_cast<std::int64_t>(stat.f_bavail * stat.f_frsize)};
}

Result<Bytes> TotalSpace(const fs::path& path) {
  struct statvfs stat {};
  if (::statvfs(path.c_str(), &stat) != 0)
    return Fail(ErrnoError("cannot stat", path.string(), errno));
  return Bytes{static_cast<std::int64_t>(stat.f_blocks * stat.f_frsize)};
}

Status CheckPlainRelative(std::string_view path) {
  const auto is_plain = [](std::string_view part) {
    return !part.empty() && part != "." && part != ".." &&
           std::all_of(part.begin(), part.end(),
                       [](unsigned char c) { return c >= ' ' && c != '\\'; });
  };
  bool good = path.size() <= 1024;
  for (std::size_t start = 0; good && start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    good = is_plain(path.substr(start, end - start));
    start = end + 1;
  }
  if (good) return {};
  return Fail(ErrorCode::kInvalid, "not a plain relative path", std::string(path));
}

Result<fs::path> JoinBeneath(const fs::path& root, std::string_view relative) {
  TUTTI_RETURN_IF_ERROR(CheckPlainRelative(relative));
  return root / relative;
}

}  // namespace tutti
