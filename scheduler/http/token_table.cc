#include "scheduler/http/token_table.h"

#include <mutex>

namespace tutti::http {

void TokenTable::Put(TokenEntry entry) {
  Remove(entry.id);
  const std::unique_lock lock(mutex_);
  auto row = std::make_unique<Row>();
  row->entry = std::move(entry);
  const Digest sha256 = row->entry.sha256;
  rows_[sha256] = std::move(row);
}

void TokenTable::Remove(const std::string& id) {
  const std::unique_lock lock(mutex_);
  std::erase_if(rows_, [&](const auto& row) { return row.second->entry.id == id; });
}

std::pair<TokenTable::State, Caller> TokenTable::Look(const Digest& sha256, WallTime now) const {
  const std::shared_lock lock(mutex_);
  const auto found = rows_.find(sha256);
  if (found == rows_.end()) return {State::kUnknown, {}};
  Row& row = *found->second;
  if (row.entry.expires && *row.entry.expires <= now) return {State::kExpired, row.entry.caller};
  row.used_ms = now.unix_ms;
  return {State::kValid, row.entry.caller};
}

std::vector<std::pair<std::string, WallTime>> TokenTable::TakeUses() {
  const std::shared_lock lock(mutex_);
  std::vector<std::pair<std::string, WallTime>> uses;
  for (const auto& [sha256, row] : rows_) {
    if (const std::int64_t at = row->used_ms.exchange(0); at != 0) {
      uses.emplace_back(row->entry.id, WallTime{at});
    }
  }
  return uses;
}

}  // namespace tutti::http
