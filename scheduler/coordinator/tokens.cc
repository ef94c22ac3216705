#include "scheduler/coordinator/tokens.h"

#include <utility>

#include "common/base/log.h"
#include "scheduler/http/auth.h"

namespace tutti::coordinator {
namespace {

// A token's id is the beginning of its digest: whoever has the token can tell which it is, and the
// id tells nothing of the token.
std::string IdOf(const Digest& sha256) {
  constexpr std::size_t kDigits = 10;
  return "t-" + sha256.ToHex().substr(0, kDigits);
}

Status Writable(const View& view) {
  if (!view.read_only) return {};
  return Fail(ErrorCode::kDiskFull, "the state database cannot be written now");
}

}  // namespace

void Tokens::Put(const store::StoredToken& row) {
  const auto scope = http::ParseScope(row.scope);
  if (!scope) {
    Log(kWarning, "token_scope_unknown", {{"token", row.id}, {"scope", row.scope}});
    return;
  }
  table_.Put({.id = row.id,
              .sha256 = row.sha256,
              .caller = {.user = row.user, .scope = *scope},
              .expires = row.expires});
}

Status Tokens::Load(store::Store& store) {
  TUTTI_ASSIGN_OR_RETURN(const auto rows, store.Tokens());
  for (const store::StoredToken& row : rows) Put(row);
  return {};
}

Result<MadeToken> Tokens::Create(const View& view, TokenRequest request) {
  TUTTI_RETURN_IF_ERROR(Writable(view));
  TUTTI_ASSIGN_OR_RETURN(const auto rows, view.store->Tokens());
  if (rows.size() >= kTokensMax) {
    return Fail(ErrorCode::kQuota, "there are " + std::to_string(rows.size()) + " tokens already",
                {}, "revoke those that nobody needs: tutti token list");
  }
  TUTTI_ASSIGN_OR_RETURN(std::string token, http::NewToken());
  const WallTime now = WallNow();
  store::StoredToken row{.id = {},
                         .sha256 = Sha256Of(token),
                         .scope = std::string(http::ToString(request.scope)),
                         .name = std::move(request.name),
                         .user = std::move(request.user),
                         .created = now};
  row.id = IdOf(row.sha256);
  if (request.lifetime) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*request.lifetime);
    row.expires = WallTime{now.unix_ms + ms.count()};
  }
  TUTTI_RETURN_IF_ERROR(view.store->PutToken(row));
  Put(row);
  Log(kInfo, "token_created", {{"token", row.id}, {"scope", row.scope}, {"user", row.user}});
  return MadeToken{std::move(token), std::move(row)};
}

Result<store::StoredToken> Tokens::Revoke(const View& view, std::string_view text) {
  TUTTI_RETURN_IF_ERROR(Writable(view));
  TUTTI_ASSIGN_OR_RETURN(const auto rows, view.store->Tokens());
  const store::StoredToken* found = nullptr;
  for (const store::StoredToken& row : rows) {
    if (row.id == text) {
      found = &row;
      break;
    }
    if (row.name != text || row.name.empty()) continue;
    if (found != nullptr) {
      return Fail(ErrorCode::kConflict, "several tokens have this name", std::string(text),
                  "give the id: tutti token list");
    }
    found = &row;
  }
  if (found == nullptr) {
    return Fail(ErrorCode::kNotFound, "there is no such token", std::string(text),
                "tutti token list has them");
  }
  TUTTI_RETURN_IF_ERROR(view.store->RemoveToken(found->id));
  table_.Remove(found->id);
  Log(kInfo, "token_revoked", {{"token", found->id}, {"user", found->user}});
  return *found;
}

Result<std::vector<store::StoredToken>> Tokens::List(const View& view) {
  TUTTI_RETURN_IF_ERROR(Flush(view));
  return view.store->Tokens();
}

// Lost with a crash, and while the store cannot write: nobody relies on them.
Status Tokens::Flush(const View& view) {
  if (view.read_only) return {};
  return view.store->TokensUsed(table_.TakeUses());
}

}  // namespace tutti::coordinator
