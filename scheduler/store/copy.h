// Copies of SQLite databases that are in use, by SQLite's online backup. One thread each.
#pragma once

#include <filesystem>
#include <memory>

#include "common/base/result.h"

struct sqlite3;
struct sqlite3_backup;

namespace tutti::store {

// A copy under way. What is written to `from` on the same connection meanwhile is in it.
class DatabaseCopy {
 public:
  // `to` must not exist. kDiskFull, kIo.
  static Result<std::unique_ptr<DatabaseCopy>> Begin(sqlite3* from,
                                                     const std::filesystem::path& to);
  ~DatabaseCopy();
  DatabaseCopy(const DatabaseCopy&) = delete;
  DatabaseCopy& operator=(const DatabaseCopy&) = delete;

  // At most so many pages more; true once all of it is there.
  Result<bool> Step(int pages);
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit DatabaseCopy(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  sqlite3* to_ = nullptr;
  sqlite3_backup* backup_ = nullptr;
};

// All of a database that another connection may be writing. kUnavailable when that one has it
// locked for itself.
Status CopyDatabase(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace tutti::store
