// The coordinator's blobs over HTTP, for threads off the loop. Thread-safe. What fails in passing
// (a coordinator that restarts, a line that breaks) is tried again with back-off.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "common/httpclient/http.h"

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
    httpclient::Url url;
    std::string token;
  };
  Result<Target> CurrentTarget() const;
  // To the coordinator, with the token.
  Result<std::unique_ptr<httpclient::Incoming>> Open(httpclient::Request request) const;
  Result<httpclient::Response> Send(httpclient::Request request) const;
  // What the answer to a GET of `target` has after `offset` bytes goes to `take`.
  Status Receive(const std::string& target, std::uint64_t offset, int stop_fd,
                 const std::function<Status(std::string_view piece)>& take) const;
  Status StoreOnce(const std::filesystem::path& file, const Digest& digest, int stop_fd) const;

  mutable std::mutex mutex_;
  std::string http_url_;  // guarded by mutex_
  std::string token_;     // guarded by mutex_
  std::string pin_;       // guarded by mutex_
};

}  // namespace tutti::agent
