// Inputs by content on this machine: <dir>/blobs/ab/<hex>, read-only files. Thread-safe: the file
// system is the state; two that fetch the same blob at once both end with it.
#pragma once

#include <filesystem>
#include <stop_token>

#include "common/base/result.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "worker/agent/remote_blobs.h"

namespace tutti::agent {

class BlobCache {
 public:
  // Removes what an earlier process was in the middle of. `max` is kept to by removing what was
  // used longest ago and is not linked from an attempt's folder.
  static Result<BlobCache> Open(const std::filesystem::path& directory, Bytes max);

  // The blob as a file at `to` (whose folder exists): a hard link into the cache, which is filled
  // from `remote` first if need be.
  Status Place(const Digest& digest, Bytes size, const std::filesystem::path& to,
               const RemoteBlobs& remote, std::stop_token stop) const;

  // Removes the oldest unused blobs until there is room for `more`.
  Status MakeRoom(Bytes more) const;

 private:
  BlobCache(std::filesystem::path directory, Bytes max)
      : directory_(std::move(directory)), max_(max) {}
  std::filesystem::path PathOf(const Digest& digest) const;

  std::filesystem::path directory_;
  Bytes max_;
};

}  // namespace tutti::agent
