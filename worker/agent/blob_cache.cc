#include "worker/agent/blob_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "common/base/log.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnderWay = "fetch-";

struct Cached {
  fs::path path;
  std::int64_t size = 0;
  timespec used{};
  bool linked = false;  // from an attempt that runs
};

std::vector<Cached> List(const fs::path& directory) {
  std::vector<Cached> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    struct stat info {};
    if (stat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    found.push_back({it->path(), info.st_size, info.st_mtim, info.st_nlink > 1});
  }
  return found;
}

}  // namespace

Result<BlobCache> BlobCache::Open(const fs::path& directory, Bytes max) {
  const fs::path blobs = directory / "blobs";
  TUTTI_RETURN_IF_ERROR(MakeDirectories(blobs, 0700));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(blobs, error)) {
    if (!entry.path().filename().string().starts_with(kUnderWay)) continue;
    TUTTI_RETURN_IF_ERROR(RemoveTree(entry.path()));
  }
  return BlobCache(blobs, max);
}

fs::path BlobCache::PathOf(const Digest& digest) const {
  const std::string hex = digest.ToHex();
  return directory_ / hex.substr(0, 2) / hex;
}

Status BlobCache::Place(const Digest& digest, Bytes size, const fs::path& to,
                        const RemoteBlobs& remote, std::stop_token stop) const {
  const fs::path path = PathOf(digest);
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && info.st_size == size.count) {
    utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
    // Another thread may be making room: what it removed is fetched anew.
    if (const Status linked = LinkOrCopy(path, to); linked) return linked;
  }
  static std::atomic<unsigned> count{0};
  const fs::path fetched = directory_ / (std::string(kUnderWay) + std::to_string(count++));
  TUTTI_RETURN_IF_ERROR(MakeRoom(size));
  const auto fetch = [&]() -> Status {
    TUTTI_RETURN_IF_ERROR(remote.Fetch(digest, size, fetched, std::move(stop)));
    if (chmod(fetched.c_str(), 0444) != 0) {
      return Fail(ErrnoError("cannot protect", fetched.string(), errno));
    }
    TUTTI_RETURN_IF_ERROR(LinkOrCopy(fetched, to));
    TUTTI_RETURN_IF_ERROR(MakeDirectories(path.parent_path(), 0700));
    if (rename(fetched.c_str(), path.c_str()) != 0) {
      return Fail(ErrnoError("cannot rename into place", path.string(), errno));
    }
    return {};
  };
  Status status = fetch();
  if (!status) unlink(fetched.c_str());
  return status;
}

Status BlobCache::MakeRoom(Bytes more) const {
  std::vector<Cached> all = List(directory_);
  std::int64_t total = more.count;
  for (const Cached& cached : all) total += cached.size;
  if (total <= max_.count) return {};
  std::sort(all.begin(), all.end(), [](const Cached& a, const Cached& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Cached& cached : all) {
    if (total <= max_.count) break;
    if (cached.linked || cached.path.filename().string().starts_with(kUnderWay)) continue;
    if (unlink(cached.path.c_str()) != 0) continue;
    Log(kInfo, "blob_evicted", {{"path", cached.path.string()}, {"bytes", cached.size}});
    total -= cached.size;
  }
  return {};  // what runs now needs what it needs: a full disk says so itself
}

}  // namespace tutti::agent
