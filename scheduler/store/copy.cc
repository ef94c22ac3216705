#include "scheduler/store/copy.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace tutti::store {
namespace {

constexpr int kPagesAtOnce = 1024;
constexpr int kBusyWaitMs = 5000;

Error ErrorOf(sqlite3* handle, int code, const std::string& what,
              const std::filesystem::path& path) {
  const char* text = handle == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle);
  Error error{ErrorCode::kIo, what + ": " + text, path.string()};
  const int basic = code & 0xff;
  const bool no_space = handle != nullptr && sqlite3_system_errno(handle) == ENOSPC;
  if (basic == SQLITE_FULL || no_space) {
    error.code = ErrorCode::kDiskFull;
    error.hint = "copy to a disk with more room";
  } else if (basic == SQLITE_BUSY || basic == SQLITE_LOCKED) {
    error.code = ErrorCode::kUnavailable;
  }
  return error;
}

}  // namespace

Result<std::unique_ptr<DatabaseCopy>> DatabaseCopy::Begin(sqlite3* from,
                                                          const std::filesystem::path& to) {
  // SQLite itself would write over what is there.
  const int made = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made < 0) return Fail(ErrnoError("cannot create", to.string(), errno));
  ::close(made);
  std::unique_ptr<DatabaseCopy> copy(new DatabaseCopy(to));
  const int opened =
      sqlite3_open_v2(to.c_str(), &copy->to_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (opened != SQLITE_OK) {
    return Fail(ErrorOf(copy->to_, opened, "cannot make the copy of the database", to));
  }
  // Whoever wants the copy makes it durable, all of it at once.
  sqlite3_exec(copy->to_, "PRAGMA synchronous=OFF", nullptr, nullptr, nullptr);
  copy->backup_ = sqlite3_backup_init(copy->to_, "main", from, "main");
  if (copy->backup_ == nullptr) {
    return Fail(ErrorOf(copy->to_, sqlite3_errcode(copy->to_), "cannot begin the copy", to));
  }
  return copy;
}

DatabaseCopy::~DatabaseCopy() {
  if (backup_ != nullptr) sqlite3_backup_finish(backup_);
  sqlite3_close(to_);
}

Result<bool> DatabaseCopy::Step(int pages) {
  const int code = sqlite3_backup_step(backup_, pages);
  if (code == SQLITE_OK) return false;
  if (code != SQLITE_DONE) return Fail(ErrorOf(nullptr, code, "cannot copy the database", path_));
  const int finished = sqlite3_backup_finish(backup_);
  backup_ = nullptr;
  if (finished != SQLITE_OK) {
    return Fail(ErrorOf(to_, finished, "cannot finish the copy of the database", path_));
  }
  const int closed = sqlite3_close(to_);
  to_ = nullptr;
  if (closed != SQLITE_OK) return Fail(ErrorOf(nullptr, closed, "cannot close the copy", path_));
  return true;
}

Status CopyDatabase(const std::filesystem::path& from, const std::filesystem::path& to) {
  sqlite3* handle = nullptr;
  const int opened =
      sqlite3_open_v2(from.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  const std::unique_ptr<sqlite3, int (*)(sqlite3*)> source(handle, sqlite3_close);
  if (opened != SQLITE_OK) return Fail(ErrorOf(handle, opened, "cannot read the database", from));
  sqlite3_busy_timeout(handle, kBusyWaitMs);
  TUTTI_ASSIGN_OR_RETURN(const auto copy, DatabaseCopy::Begin(handle, to));
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool done, copy->Step(kPagesAtOnce));
    if (done) return {};
  }
}

}  // namespace tutti::store
