// The coordinator's blobs over HTTP, for threads off the loop. Thread-safe. What fails in passing
// (a coordinator that restarts, a line that breaks) is tried again with back-off.
#pragma once

#include <filesystem>
#include <mutex>
#include <stop_token>
#include <string>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "worker/agent/http_client.h"

namespace tutti::agent {

class RemoteBlobs {
 public:
  // Where the coordinator serves now: each registration says it anew. `pin`: of its certificate,
  // when the address is https.
  void SetTarget(std::string http_url, std::string token, std::string pin = {});

  // Writes the blob to `path`, which must not exist, and verifies it. kNotFound when the
  // coordinator has none; kInvalid when the bytes are not what `digest` says; kDiskFull.
  Status Fetch(const Digest& digest, Bytes size, const std::filesystem::path& path,
               std::stop_token stop) const;
  // The same of what another route answers with: "/api/v1/jobs/…".
  Status FetchFrom(const std::string& target, const Digest& digest, Bytes size,
                   const std::filesystem::path& path, std::stop_token stop) const;

  // Makes sure the coordinator has the file, whose digest the caller has computed. To a
  // coordinator on this machine only the path is sent. kDiskFull when it has no room.
  Status Store(const std::filesystem::path& file, const Digest& digest, std::stop_token stop) const;

  // PUTs the file, whose digest the caller knows, to another route. kConflict: the coordinator does
  // not want it any more; kNotFound: it is not there any more; kDiskFull.
  Status Send(const std::filesystem::path& file, const Digest& digest, const std::string& target,
              std::stop_token stop) const;

  // An operation that makes no progress for so long is given up.
  static constexpr Duration kRetryFor = std::chrono::seconds(60);

 private:
  struct Target {
    HttpUrl url;
    std::string token;
  };
  Result<Target> CurrentTarget() const;
  Result<HttpAnswer> Ask(HttpRequest request, const HttpSink& sink, std::stop_token stop) const;
  Status StoreOnce(const std::filesystem::path& file, const Digest& digest,
                   std::stop_token stop) const;

  mutable std::mutex mutex_;
  std::string http_url_;  // guarded by mutex_
  std::string token_;     // guarded by mutex_
  std::string pin_;       // guarded by mutex_
};

}  // namespace tutti::agent
