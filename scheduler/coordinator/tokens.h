// The tokens of people: kept by the store, checked by the server's table. A token is 32 random
// bytes; only its SHA-256 is kept, which is enough for what nobody can guess.
//
// Of the loop's thread; the table is its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/http/token_table.h"
#include "scheduler/store/store.h"

namespace tutti::coordinator {

inline constexpr std::size_t kTokensMax = 10'000;

struct TokenRequest {
  http::Scope scope = http::Scope::kViewer;
  std::string name = {};  // for people
  std::string user = {};  // whose jobs it makes
  std::optional<Duration> lifetime = {};
};

struct MadeToken {
  std::string token;  // shown once
  store::StoredToken row;
};

class Tokens {
 public:
  // `table` outlives it.
  explicit Tokens(http::TokenTable& table) : table_(table) {}

  // What the store has goes into the table. Once, before anybody is served.
  Status Load(store::Store& store);

  // Valid, and on disk, when it returns. kQuota beyond kTokensMax; kDiskFull.
  Result<MadeToken> Create(const View& view, TokenRequest request);
  // By id, or by a name that is one token's alone: no longer valid when it returns. kNotFound,
  // kConflict for a name of several.
  Result<store::StoredToken> Revoke(const View& view, std::string_view text);
  Result<std::vector<store::StoredToken>> List(const View& view);
  // Writes when tokens were last used.
  Status Flush(const View& view);

 private:
  void Put(const store::StoredToken& row);

  http::TokenTable& table_;
};

}  // namespace tutti::coordinator
