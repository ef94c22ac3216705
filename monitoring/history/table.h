// The file of curves: one SQLite connection and what is done with it. Internal to
// monitoring/history; one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "monitoring/history/history.h"
#include "monitoring/history/points.h"

namespace tutti::history {

class Table {
 public:
  enum class Mode { kWrite, kRead };
  // Errors have code kInternal when the file is damaged or of another version, kDiskFull, else kIo.
  static Result<std::unique_ptr<Table>> Open(const std::filesystem::path& path, Mode mode);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  Status Begin() { return Execute("BEGIN IMMEDIATE"); }
  Status Commit() { return Execute("COMMIT"); }
  void RollBack();

  Status Append(const std::string& subject, const std::string& name,
                const std::vector<Point>& points);
  Status Remember(const std::string& subject, const std::string& text, WallTime at);
  // And drops the subject's oldest steps beyond `keep`.
  Status Note(const std::string& subject, const history::Note& note, std::size_t keep);
  Status Forget(const std::string& subject);
  // Merges and removes what is old. One transaction a series: others may write in between.
  Status Tidy(const Limits& limits, WallTime now);

  Result<std::vector<Series>> Read(const Request& request);
  Result<std::map<std::string, std::string>> Remembered();
  Result<std::vector<history::Note>> Notes(const std::string& subject, std::size_t count);

 private:
  class Query;
  explicit Table(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  struct Known {
    std::int64_t id = 0;
    std::int64_t next_seq = 0;
  };
  struct Extent {
    std::int64_t id = 0;
    std::int64_t oldest_ms = 0;
    std::int64_t newest_ms = 0;
    std::uint64_t points = 0;
  };
  Status Prepare(Mode mode);
  Status Execute(const char* sql);
  Error LastError(std::string_view what) const;
  Result<Known*> Find(const std::string& subject, const std::string& name);
  Status AppendTo(Known& series, const std::vector<Point>& points);
  Result<std::vector<Point>> PointsOf(std::int64_t series);
  Result<std::vector<Extent>> Extents();
  Status TidySeries(const Extent& extent, const Limits& limits, WallTime now);
  Status Replace(std::int64_t series, const std::vector<Point>& points);
  Status Drop(std::int64_t series);
  static std::uint64_t PointsIn(const std::vector<Extent>& extents);
  Status TidyNotes(const Limits& limits, std::int64_t kept_from_ms);
  Status DropOldest(std::vector<Extent> extents, std::uint64_t points_max);

  sqlite3* handle_;
  std::string path_;
  std::map<const char*, sqlite3_stmt*> statements_;  // by the literal's address
  std::map<std::pair<std::string, std::string>, Known> known_;
};

}  // namespace tutti::history
