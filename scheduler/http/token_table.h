// The tokens that are valid now, by their digests: a token itself is kept nowhere. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/base/time.h"
#include "common/digest/sha256.h"
#include "scheduler/http/access.h"

namespace tutti::http {

struct TokenEntry {
  std::string id = {};  // "t-0k3v9x2m"
  Digest sha256 = {};   // of the token
  Caller caller = {};
  std::optional<WallTime> expires = {};
};

class TokenTable {
 public:
  enum class State : std::uint8_t { kUnknown, kExpired, kValid };

  void Put(TokenEntry entry);  // replaces one of the same id
  void Remove(const std::string& id);

  // Whose it is. A valid one counts as used at `now`.
  std::pair<State, Caller> Look(const Digest& sha256, WallTime now) const;
  // The ids that were used since the last call, and when they were last.
  std::vector<std::pair<std::string, WallTime>> TakeUses();

 private:
  struct Row {
    TokenEntry entry;
    std::atomic<std::int64_t> used_ms{0};  // 0 = not since TakeUses
  };
  mutable std::shared_mutex mutex_;
  // Guarded by mutex_. How long a search in it takes says something of digests, and a digest says
  // nothing of its token.
  std::map<Digest, std::unique_ptr<Row>> rows_;
};

}  // namespace tutti::http
