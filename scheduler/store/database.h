// SQLite as Results: one connection, prepared statements that cannot be left half-bound,
// transactions that roll back unless committed. Internal to scheduler/store; one thread.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "scheduler/store/store.h"

namespace tutti::store {

class Store::Database {
 public:
  static Result<std::unique_ptr<Database>> Open(const std::filesystem::path& path);
  ~Database();

  // A statement in use; goes back to the cache when destroyed.
  class Query {
   public:
    Query(Database& db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
    ~Query();
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

    Query& Bind(int index, std::uint64_t value);
    Query& Bind(int index, std::string_view blob);  // as a blob
    Query& BindText(int index, std::string_view text);
    Query& BindNull(int index);
    // true: a row is there; false: done.
    Result<bool> Step();
    Status Run();  // no rows expected

    std::uint64_t Integer(int column) const;
    std::string_view Blob(int column) const;  // until the next Step

   private:
    Database& db_;
    sqlite3_stmt* statement_;
  };

  Query Prepare(const char* sql);  // a bug in `sql` stops the program
  Status Execute(const char* sql);
  Error LastError(std::string_view what) const;
  sqlite3* handle() const { return handle_; }

  class Transaction {
   public:
    explicit Transaction(Database& db) : db_(db) {}
    ~Transaction();
    Status Begin();
    Status Commit();

   private:
    Database& db_;
    bool open_ = false;
  };

 private:
  explicit Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  sqlite3* handle_;
  std::string path_;
  std::map<const char*, sqlite3_stmt*> statements_;  // by the literal's address
};

}  // namespace tutti::store
