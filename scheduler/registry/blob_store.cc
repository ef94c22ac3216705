#include "scheduler/registry/blob_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>

namespace tutti::registry {
namespace {

constexpr ::mode_t kBlobMode = 0444;
constexpr Duration kOnDiskEvery = std::chrono::seconds(10);
constexpr std::size_t kCopyBlock = std::size_t{1} << 20;

// Unlinks a file under way, unless it was moved to its place.
class Unlinker {
 public:
  explicit Unlinker(const fs::path& path) : path_(path) {}
  ~Unlinker() { ::unlink(path_.c_str()); }
  Unlinker(const Unlinker&) = delete;
  Unlinker& operator=(const Unlinker&) = delete;

 private:
  const fs::path& path_;
};

Result<UniqueFd> OpenSource(const fs::path& source) {
  if (!source.is_absolute()) {
    return Fail(ErrorCode::kInvalid, "the path is not absolute", source.string());
  }
  // O_NONBLOCK: opening a pipe would wait for its writer.
  UniqueFd fd(::open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ELOOP) {
    return Fail(ErrorCode::kInvalid, "symbolic links are not followed", source.string(),
                "give the path it leads to");
  }
  if (!fd) return Fail(ErrnoError("cannot open", source.string(), errno));
  struct stat stat {};
  if (::fstat(fd.get(), &stat) != 0) {
    return Fail(ErrnoError("cannot stat", source.string(), errno));
  }
  if (!S_ISREG(stat.st_mode)) {
    return Fail(ErrorCode::kInvalid, "not a regular file", source.string());
  }
  return fd;
}

// Copies all of `in`; returns the digest of what was written.
Result<Digest> CopyDigesting(int in, int out, const fs::path& from, const fs::path& to) {
  Sha256 hash;
  std::string block(kCopyBlock, '\0');
  for (;;) {
    const ssize_t count = ::read(in, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("cannot read", from.string(), errno));
    if (count == 0) return hash.Finish();
    const auto data = std::as_bytes(std::span(block.data(), static_cast<std::size_t>(count)));
    hash.Update(data);
    TUTTI_RETURN_IF_ERROR(WriteAll(out, data, to.string()));
  }
}

}  // namespace

fs::path TemporaryName(const fs::path& directory) {
  static std::atomic<unsigned> count{0};
  return directory / (".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
}

Result<BlobStore> BlobStore::Open(const fs::path& directory) {
  BlobStore store(directory / "blobs", directory / "uploads");
  TUTTI_RETURN_IF_ERROR(RemoveTree(store.uploads_));
  for (const fs::path& folder : {store.blobs_, store.uploads_}) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  }
  TUTTI_RETURN_IF_ERROR(SyncDirectory(directory));
  return store;
}

fs::path BlobStore::PathOf(const Digest& digest) const {
  const std::string hex = digest.ToHex();
  return blobs_ / hex.substr(0, 2) / hex;
}

bool BlobStore::Has(const Digest& digest) const { return Size(digest).has_value(); }

Result<Bytes> BlobStore::Size(const Digest& digest) const {
  struct stat stat {};
  if (::lstat(PathOf(digest).c_str(), &stat) != 0) {
    if (errno == ENOENT)
      return Fail(ErrorCode::kNotFound, "there is no such blob", digest.ToString());
    return Fail(ErrnoError("cannot stat the blob", digest.ToString(), errno));
  }
  if (!S_ISREG(stat.st_mode)) return Fail(ErrorCode::kIo, "not a file", digest.ToString());
  return Bytes{stat.st_size};
}

Result<UniqueFd> BlobStore::OpenBlob(const Digest& digest) const {
  UniqueFd fd(::open(PathOf(digest).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd) return fd;
  if (errno == ENOENT)
    return Fail(ErrorCode::kNotFound, "there is no such blob", digest.ToString());
  return Fail(ErrnoError("cannot open the blob", digest.ToString(), errno));
}

Result<bool> BlobStore::Adopt(const fs::path& upload, const Digest& actual,
                              const Digest& expected) const {
  const Unlinker unlinker(upload);
  if (actual != expected) {
    return Fail(ErrorCode::kInvalid, "the content's digest is " + actual.ToString(),
                expected.ToString(), "the upload was damaged or the file changed; send it again");
  }
  if (Touch(expected)) return false;
  UniqueFd fd(::open(upload.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return Fail(ErrnoError("cannot open the upload", upload.string(), errno));
  if (::fchmod(fd.get(), kBlobMode) != 0 || ::fsync(fd.get()) != 0) {
    return Fail(ErrnoError("cannot sync the upload", upload.string(), errno));
  }
  const fs::path path = PathOf(expected);
  const fs::path folder = path.parent_path();
  std::error_code ignored;
  const bool known_folder = fs::is_directory(folder, ignored);
  TUTTI_RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  // Of two uploads of one blob the later replaces the earlier: their content is the same.
  if (::rename(upload.c_str(), path.c_str()) != 0) {
    return Fail(ErrnoError("cannot rename into place", path.string(), errno));
  }
  TUTTI_RETURN_IF_ERROR(SyncDirectory(folder));
  if (!known_folder) TUTTI_RETURN_IF_ERROR(SyncDirectory(blobs_));
  TUTTI_RETURN_IF_ERROR(Touch(expected));
  return true;
}

Result<bool> BlobStore::Put(std::string_view content, const Digest& expected) const {
  const fs::path upload = TemporaryName(uploads_);
  const Unlinker unlinker(upload);
  {
    UniqueFd fd(::open(upload.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return Fail(ErrnoError("cannot create", upload.string(), errno));
    TUTTI_RETURN_IF_ERROR(WriteAll(fd.get(), std::as_bytes(std::span(content)), upload.string()));
  }
  return Adopt(upload, Sha256Of(content), expected);
}

Result<bool> BlobStore::Link(const fs::path& source, const Digest& expected) const {
  TUTTI_ASSIGN_OR_RETURN(const UniqueFd in, OpenSource(source));
  if (Touch(expected)) return false;
  const fs::path upload = TemporaryName(uploads_);
  const Unlinker unlinker(upload);
  Digest actual;
  {
    UniqueFd out(::open(upload.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!out) return Fail(ErrnoError("cannot create", upload.string(), errno));
    if (::ioctl(out.get(), FICLONE, in.get()) == 0) {
      TUTTI_ASSIGN_OR_RETURN(actual, Sha256OfFile(upload));
    } else {
      TUTTI_ASSIGN_OR_RETURN(actual, CopyDigesting(in.get(), out.get(), source, upload));
    }
  }
  if (actual != expected) {
    // Without the digest it has: that would tell of files the caller may not read.
    return Fail(ErrorCode::kInvalid, "the file has another digest than " + expected.ToString(),
                source.string(), "it changed since it was digested; submit again");
  }
  return Adopt(upload, actual, expected);
}

Result<Bytes> BlobStore::Touch(const Digest& digest) const {
  const std::lock_guard lock(touches_->mutex);
  const Instant now = MonotonicNow();
  const auto touched = touches_->by_digest.find(digest);
  if (touched != touches_->by_digest.end() && now - touched->second.on_disk < kOnDiskEvery) {
    touched->second.last = now;
    return touched->second.size;
  }
  TUTTI_ASSIGN_OR_RETURN(const Bytes size, Size(digest));
  touches_->by_digest[digest] = {.last = now, .on_disk = now, .size = size};
  // The file's time is for later processes; where it cannot be set, it only stays older.
  ::utimensat(AT_FDCWD, PathOf(digest).c_str(), nullptr, 0);
  return size;
}

// REQUIRES: touches_->mutex is held.
bool BlobStore::IsUntouched(const Digest& digest, const fs::path& path, Duration grace) const {
  const auto touched = touches_->by_digest.find(digest);
  if (touched != touches_->by_digest.end() && MonotonicNow() - touched->second.last < grace) {
    return false;
  }
  struct stat stat {};
  if (::lstat(path.c_str(), &stat) != 0 || !S_ISREG(stat.st_mode)) return false;
  const std::int64_t touched_ms =
      std::int64_t{stat.st_mtim.tv_sec} * 1000 + stat.st_mtim.tv_nsec / 1'000'000;
  const auto grace_ms = std::chrono::duration_cast<std::chrono::milliseconds>(grace).count();
  return WallNow().unix_ms - touched_ms >= grace_ms;
}

Result<std::set<Digest>> BlobStore::Untouched(Duration grace) const {
  std::set<Digest> untouched;
  std::error_code error;
  for (fs::recursive_directory_iterator it(blobs_, error), end; !error && it != end;
       it.increment(error)) {
    const auto digest = Digest::Parse("sha256:" + it->path().filename().string());
    if (!digest) continue;
    const std::lock_guard lock(touches_->mutex);
    if (IsUntouched(*digest, it->path(), grace)) untouched.insert(*digest);
  }
  if (error) return Fail(ErrnoError("cannot read the folder", blobs_.string(), error.value()));
  return untouched;
}

Result<std::optional<Bytes>> BlobStore::RemoveUntouched(const Digest& digest,
                                                        Duration grace) const {
  const fs::path path = PathOf(digest);
  const std::lock_guard lock(touches_->mutex);
  if (!IsUntouched(digest, path, grace)) return std::nullopt;
  TUTTI_ASSIGN_OR_RETURN(const Bytes size, Size(digest));
  if (::unlink(path.c_str()) != 0) {
    return Fail(ErrnoError("cannot remove the blob", digest.ToString(), errno));
  }
  touches_->by_digest.erase(digest);
  return size;
}

}  // namespace tutti::registry
