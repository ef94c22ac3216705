// BlobStore: files named by the SHA-256 of their content, below <coordinator>/blobs/ab/<hex>.
//
// A blob exists completely or not at all: uploads land in uploads/, are verified, made durable and
// renamed. Blobs are read-only files (0444) and never change. A blob that nothing refers to yet is
// kept by having been touched lately. Thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"

namespace tutti::registry {

namespace fs = std::filesystem;

class BlobStore {
 public:
  // Makes blobs/ and uploads/ below `directory`, and removes what uploads/ holds: no upload
  // outlives the process that took it.
  static Result<BlobStore> Open(const fs::path& directory);

  // On the same file system as the blobs: files are spooled here to be Adopted.
  const fs::path& uploads_dir() const { return uploads_; }
  // Where that blob lies or would lie.
  fs::path PathOf(const Digest& digest) const;

  bool Has(const Digest& digest) const;
  Result<Bytes> Size(const Digest& digest) const;         // kNotFound
  Result<UniqueFd> OpenBlob(const Digest& digest) const;  // for reading; kNotFound
  // Its size, as Size (as of some seconds ago, where it was touched since); from now on it is
  // unused no sooner than the grace time allows.
  Result<Bytes> Touch(const Digest& digest) const;

  // All return true when the blob is new, false when it was there, and touch it. kInvalid when the
  // content has another digest than `expected`; kDiskFull.

  // Takes over a file in uploads_dir() whose content has digest `actual`.
  Result<bool> Adopt(const fs::path& upload, const Digest& actual, const Digest& expected) const;
  Result<bool> Put(std::string_view content, const Digest& expected) const;
  // Copies (where the file system can, by reflink) a regular file and verifies the copy. Never a
  // hard link: the owner may go on writing to that file.
  Result<bool> Link(const fs::path& source, const Digest& expected) const;

  // Blobs that nobody touched for `grace`, neither by this process's own clock nor by the files'
  // times.
  Result<std::set<Digest>> Untouched(Duration grace) const;
  // Removes it if that is still so: its size; nothing when it was touched meanwhile, or is gone.
  Result<std::optional<Bytes>> RemoveUntouched(const Digest& digest, Duration grace) const;

 private:
  // Of this process. Monotonic: a wall clock that jumps ahead makes nothing of it old.
  struct Touched {
    Instant last;
    Instant on_disk;  // when the file was looked at and its time set
    Bytes size;
  };
  struct Touches {
    std::mutex mutex;
    std::map<Digest, Touched> by_digest;
  };

  BlobStore(fs::path blobs, fs::path uploads)
      : blobs_(std::move(blobs)), uploads_(std::move(uploads)) {}
  bool IsUntouched(const Digest& digest, const fs::path& path, Duration grace) const;

  fs::path blobs_;
  fs::path uploads_;
  std::shared_ptr<Touches> touches_ = std::make_shared<Touches>();
};

// A fresh name in `directory` for a file under way.
fs::path TemporaryName(const fs::path& directory);

}  // namespace tutti::registry
