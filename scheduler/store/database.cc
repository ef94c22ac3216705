#include "scheduler/store/database.h"

#include <cerrno>
#include <limits>

#include "common/base/check.h"

namespace tutti::store {

Result<std::unique_ptr<Store::Database>> Store::Database::Open(const std::filesystem::path& path) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
      nullptr);
  if (handle == nullptr) return Fail(ErrorCode::kInternal, "no memory for SQLite", path.string());
  auto db = std::unique_ptr<Database>(new Database(handle, path.string()));
  if (code != SQLITE_OK) return Fail(db->LastError("cannot open the state database"));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 0);
  return db;
}

Store::Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Error Store::Database::LastError(std::string_view what) const {
  const int code = sqlite3_errcode(handle_) & 0xff;
  Error error{ErrorCode::kIo, std::string(what) + ": " + sqlite3_errmsg(handle_), path_};
  if (code == SQLITE_FULL || sqlite3_system_errno(handle_) == ENOSPC) {
    error.code = ErrorCode::kDiskFull;
    error.hint = "free space on this disk; the coordinator goes on by itself";
  } else if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    error = {ErrorCode::kConflict, "another coordinator has the state database open", path_,
             "stop it first: tutti down"};
  } else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    error.hint = "the file is damaged; restore it from a backup";
  }
  return error;
}

Status Store::Database::Execute(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Fail(LastError("cannot write the state database"));
  }
  return {};
}

Store::Database::Query Store::Database::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int code =
        sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    TUTTI_CHECK(code == SQLITE_OK, sql, ": ", sqlite3_errmsg(handle_));
  }
  return {*this, statement};
}

Store::Database::Query::~Query() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Store::Database::Query& Store::Database::Query::Bind(int index, std::uint64_t value) {
  TUTTI_CHECK(value <= std::numeric_limits<std::int64_t>::max());
  sqlite3_bind_int64(statement_, index, static_cast<std::int64_t>(value));
  return *this;
}

Store::Database::Query& Store::Database::Query::Bind(int index, std::string_view blob) {
  sqlite3_bind_blob64(statement_, index, blob.empty() ? "" : blob.data(), blob.size(),
                      SQLITE_TRANSIENT);
  return *this;
}

Store::Database::Query& Store::Database::Query::BindText(int index, std::string_view text) {
  sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Store::Database::Query& Store::Database::Query::BindNull(int index) {
  sqlite3_bind_null(statement_, index);
  return *this;
}

Result<bool> Store::Database::Query::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return Fail(db_.LastError("the state database failed"));
}

Status Store::Database::Query::Run() {
  TUTTI_ASSIGN_OR_RETURN(const bool row, Step());
  TUTTI_CHECK(!row);
  return {};
}

std::uint64_t Store::Database::Query::Integer(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
}

std::string_view Store::Database::Query::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

Store::Database::Transaction::~Transaction() {
  if (open_) sqlite3_exec(db_.handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Status Store::Database::Transaction::Begin() {
  TUTTI_RETURN_IF_ERROR(db_.Execute("BEGIN IMMEDIATE"));
  open_ = true;
  return {};
}

Status Store::Database::Transaction::Commit() {
  TUTTI_RETURN_IF_ERROR(db_.Execute("COMMIT"));
  open_ = false;
  return {};
}

}  // namespace tutti::store
