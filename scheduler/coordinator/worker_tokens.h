// The tokens with which workers fetch and store blobs: derived from the cluster's secret and the
// worker's name, so that they are kept nowhere and outlive a restart. One counts as long as its
// worker's key is allowed. Immutable; any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/http/access.h"

namespace tutti::coordinator {

class WorkerTokens {
 public:
  // `allowed_dir`: holds NAME.pub of every worker that may connect.
  WorkerTokens(std::string secret, std::filesystem::path allowed_dir)
      : secret_(std::move(secret)), allowed_dir_(std::move(allowed_dir)) {}

  std::string For(const std::string& worker) const;
  // The worker, when `token` is its token and it is allowed still.
  std::optional<http::Caller> Check(std::string_view token) const;

 private:
  std::string secret_;
  std::filesystem::path allowed_dir_;
};

}  // namespace tutti::coordinator
