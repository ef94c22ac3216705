// The table of tokens: rows that people make and revoke, beside the journal and no part of it.
#include <algorithm>

#include "scheduler/store/database.h"
#include "scheduler/store/store.h"

namespace tutti::store {
namespace {

// 0 stands for none.
std::uint64_t Millis(const std::optional<WallTime>& time) {
  return time ? static_cast<std::uint64_t>(time->unix_ms) : 0;
}

std::optional<WallTime> TimeOf(std::uint64_t ms) {
  if (ms == 0) return std::nullopt;
  return WallTime{static_cast<std::int64_t>(ms)};
}

}  // namespace

Status Store::PutToken(const StoredToken& token) {
  auto insert = db_->Prepare(
      "INSERT INTO tokens(id, sha256, scope, name, user, created_ms, expires_ms, last_used_ms) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  const std::string_view sha256(reinterpret_cast<const char*>(token.sha256.bytes.data()),
                                token.sha256.bytes.size());
  insert.BindText(1, token.id).Bind(2, sha256).BindText(3, token.scope).BindText(4, token.name);
  insert.BindText(5, token.user).Bind(6, Millis(token.created)).Bind(7, Millis(token.expires));
  return insert.Bind(8, Millis(token.last_used)).Run();
}

Status Store::RemoveToken(std::string_view id) {
  auto remove = db_->Prepare("DELETE FROM tokens WHERE id = ?1");
  return remove.BindText(1, id).Run();
}

Status Store::TokensUsed(std::span<const std::pair<std::string, WallTime>> uses) {
  if (uses.empty()) return {};
  Database::Transaction transaction(*db_);
  TUTTI_RETURN_IF_ERROR(transaction.Begin());
  for (const auto& [id, at] : uses) {
    auto update = db_->Prepare("UPDATE tokens SET last_used_ms = ?2 WHERE id = ?1");
    TUTTI_RETURN_IF_ERROR(update.BindText(1, id).Bind(2, Millis(at)).Run());
  }
  return transaction.Commit();
}

Result<std::vector<StoredToken>> Store::Tokens() {
  auto query = db_->Prepare(
      "SELECT id, sha256, scope, name, user, created_ms, expires_ms, last_used_ms FROM tokens "
      "ORDER BY created_ms, id");
  std::vector<StoredToken> tokens;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return tokens;
    StoredToken token;
    token.id = query.Blob(0);
    const std::string_view sha256 = query.Blob(1);
    if (sha256.size() != token.sha256.bytes.size()) {
      return Fail(ErrorCode::kIo, "the state database is damaged: token " + token.id,
                  path_.string(), "restore the data directory from a backup; nothing was changed");
    }
    std::copy(sha256.begin(), sha256.end(), token.sha256.bytes.begin());
    token.scope = query.Blob(2);
    token.name = query.Blob(3);
    token.user = query.Blob(4);
    token.created = WallTime{static_cast<std::int64_t>(query.Integer(5))};
    token.expires = TimeOf(query.Integer(6));
    token.last_used = TimeOf(query.Integer(7));
    tokens.push_back(std::move(token));
  }
}

}  // namespace tutti::store
