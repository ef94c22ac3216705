#include "monitoring/history/table.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/check.h"

namespace tutti::history {
namespace {

constexpr std::uint64_t kSchema = 1;
constexpr int kBusyMs = 2000;  // for the other connection of this process

constexpr const char* kCreate = R"sql(
  CREATE TABLE IF NOT EXISTS series(
    id INTEGER PRIMARY KEY, subject TEXT NOT NULL, name TEXT NOT NULL, UNIQUE(subject, name));
  CREATE TABLE IF NOT EXISTS points(
    series INTEGER NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, step INTEGER,
    last REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL,
    PRIMARY KEY(series, seq)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS newest(
    subject TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS notes(
    id INTEGER PRIMARY KEY, subject TEXT NOT NULL, step INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    text TEXT NOT NULL, UNIQUE(subject, step));
  PRAGMA user_version = 1;
)sql";

}  // namespace

// A statement in use; goes back to the cache when destroyed.
class Table::Query {
 public:
  Query(Table& table, const char* sql) : table_(table) {
    sqlite3_stmt*& statement = table.statements_[sql];
    if (statement == nullptr) {
      code_ = sqlite3_prepare_v3(table.handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                                 nullptr);
    }
    statement_ = statement;
  }
  ~Query() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& Bind(int index, std::int64_t value) {
    sqlite3_bind_int64(statement_, index, value);
    return *this;
  }
  Query& Bind(int index, double value) {
    sqlite3_bind_double(statement_, index, value);
    return *this;
  }
  Query& Bind(int index, const std::string& text) {
    sqlite3_bind_text64(statement_, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
  }
  Query& Bind(int index, std::optional<std::int64_t> value) {
    if (value) return Bind(index, *value);
    sqlite3_bind_null(statement_, index);
    return *this;
  }

  // true: a row is there; false: done.
  Result<bool> Step() {
    const int code = code_ != SQLITE_OK ? code_ : sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return Fail(table_.LastError("the file of metrics failed"));
  }
  Status Run() {
    TUTTI_ASSIGN_OR_RETURN(const bool row, Step());
    TUTTI_CHECK(!row);
    return {};
  }

  std::int64_t Integer(int column) const { return sqlite3_column_int64(statement_, column); }
  double Real(int column) const { return sqlite3_column_double(statement_, column); }
  bool IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::string Text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  Table& table_;
  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
};

// ---- the file
// ------------------------------------------------------------------------------------

Result<std::unique_ptr<Table>> Table::Open(const std::filesystem::path& path, Mode mode) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (mode == Mode::kWrite ? SQLITE_OPEN_CREATE : 0),
      nullptr);
  if (handle == nullptr) return Fail(ErrorCode::kIo, "no memory for SQLite", path.string());
  auto table = std::unique_ptr<Table>(new Table(handle, path.string()));
  if (code != SQLITE_OK) return Fail(table->LastError("cannot open the file of metrics"));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMs);
  TUTTI_RETURN_IF_ERROR(table->Prepare(mode));
  return table;
}

Status Table::Prepare(Mode mode) {
  std::int64_t version = 0;
  {
    Query query(*this, "PRAGMA user_version");
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (row) version = query.Integer(0);
  }
  if (version != 0 && static_cast<std::uint64_t>(version) != kSchema) {
    return Fail(ErrorCode::kInternal,
                "the file of metrics is of another version (" + std::to_string(version) + ")",
                path_);
  }
  if (mode == Mode::kRead) return {};
  // Lost seconds after a power failure are no harm; damage would be.
  TUTTI_RETURN_IF_ERROR(
      Execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
              "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216"));
  return Execute(kCreate);
}

Table::~Table() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

// What was learned of series in the transaction is undone with it.
void Table::RollBack() {
  known_.clear();
  sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Status Table::Execute(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return Fail(LastError("cannot write the file of metrics"));
}

Error Table::LastError(std::string_view what) const {
  const int code = sqlite3_errcode(handle_) & 0xff;
  Error error{ErrorCode::kIo, std::string(what) + ": " + sqlite3_errmsg(handle_), path_};
  if (code == SQLITE_FULL || sqlite3_system_errno(handle_) == ENOSPC) {
    error.code = ErrorCode::kDiskFull;
  } else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR ||
             code == SQLITE_SCHEMA) {
    error.code = ErrorCode::kInternal;  // damaged, or its tables are not ours
  }
  return error;
}

// ---- writing
// -------------------------------------------------------------------------------------

Result<Table::Known*> Table::Find(const std::string& subject, const std::string& name) {
  const auto key = std::pair(subject, name);
  if (const auto found = known_.find(key); found != known_.end()) return &found->second;
  Query insert(*this, "INSERT OR IGNORE INTO series(subject, name) VALUES(?, ?)");
  TUTTI_RETURN_IF_ERROR(insert.Bind(1, subject).Bind(2, name).Run());
  Query select(*this,
               "SELECT id, (SELECT coalesce(max(seq), 0) FROM points WHERE series = id) "
               "FROM series WHERE subject = ? AND name = ?");
  TUTTI_ASSIGN_OR_RETURN(const bool row, select.Bind(1, subject).Bind(2, name).Step());
  TUTTI_CHECK(row);
  return &known_.emplace(key, Known{select.Integer(0), select.Integer(1) + 1}).first->second;
}

Status Table::AppendTo(Known& series, const std::vector<Point>& points) {
  for (const Point& point : points) {
    Query insert(*this,
                 "INSERT INTO points(series, seq, at_ms, step, last, min, max) "
                 "VALUES(?, ?, ?, ?, ?, ?, ?)");
    insert.Bind(1, series.id).Bind(2, series.next_seq).Bind(3, point.at.unix_ms);
    insert.Bind(4, point.step).Bind(5, point.last).Bind(6, point.min).Bind(7, point.max);
    TUTTI_RETURN_IF_ERROR(insert.Run());
    ++series.next_seq;
  }
  return {};
}

Status Table::Append(const std::string& subject, const std::string& name,
                     const std::vector<Point>& points) {
  TUTTI_ASSIGN_OR_RETURN(Known* const series, Find(subject, name));
  return AppendTo(*series, points);
}

Status Table::Remember(const std::string& subject, const std::string& text, WallTime at) {
  Query query(*this, "INSERT OR REPLACE INTO newest(subject, at_ms, text) VALUES(?, ?, ?)");
  return query.Bind(1, subject).Bind(2, at.unix_ms).Bind(3, text).Run();
}

Status Table::Note(const std::string& subject, const history::Note& note, std::size_t keep) {
  {
    Query query(*this,
                "INSERT OR REPLACE INTO notes(subject, step, at_ms, text) VALUES(?, ?, ?, ?)");
    query.Bind(1, subject).Bind(2, note.step).Bind(3, note.at.unix_ms).Bind(4, note.text);
    TUTTI_RETURN_IF_ERROR(query.Run());
  }
  Query query(*this,
              "DELETE FROM notes WHERE subject = ?1 AND step <= (SELECT step FROM notes "
              "WHERE subject = ?1 ORDER BY step DESC LIMIT 1 OFFSET ?2)");
  return query.Bind(1, subject).Bind(2, static_cast<std::int64_t>(keep)).Run();
}

Status Table::Forget(const std::string& subject) {
  known_.clear();
  {
    Query query(*this, "DELETE FROM notes WHERE subject = ?");
    TUTTI_RETURN_IF_ERROR(query.Bind(1, subject).Run());
  }
  {
    Query query(*this,
                "DELETE FROM points WHERE series IN (SELECT id FROM series WHERE subject = ?)");
    TUTTI_RETURN_IF_ERROR(query.Bind(1, subject).Run());
  }
  {
    Query query(*this, "DELETE FROM newest WHERE subject = ?");
    TUTTI_RETURN_IF_ERROR(query.Bind(1, subject).Run());
  }
  Query query(*this, "DELETE FROM series WHERE subject = ?");
  return query.Bind(1, subject).Run();
}

// ---- what is old
// ---------------------------------------------------------------------------------

Result<std::vector<Table::Extent>> Table::Extents() {
  Query query(*this,
              "SELECT series, min(at_ms), max(at_ms), count(*) FROM points GROUP BY series "
              "ORDER BY max(at_ms)");
  std::vector<Extent> extents;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return extents;
    extents.push_back({query.Integer(0), query.Integer(1), query.Integer(2),
                       static_cast<std::uint64_t>(query.Integer(3))});
  }
}

Result<std::vector<Point>> Table::PointsOf(std::int64_t series) {
  Query query(*this,
              "SELECT at_ms, step, last, min, max FROM points WHERE series = ? ORDER BY seq");
  query.Bind(1, series);
  std::vector<Point> points;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return points;
    Point& point = points.emplace_back(Point{.at = {query.Integer(0)},
                                             .last = query.Real(2),
                                             .min = query.Real(3),
                                             .max = query.Real(4)});
    if (!query.IsNull(1)) point.step = query.Integer(1);
  }
}

Status Table::Replace(std::int64_t series, const std::vector<Point>& points) {
  known_.clear();
  Query remove(*this, "DELETE FROM points WHERE series = ?");
  TUTTI_RETURN_IF_ERROR(remove.Bind(1, series).Run());
  Known fresh{.id = series, .next_seq = 1};
  return AppendTo(fresh, points);
}

Status Table::Drop(std::int64_t series) {
  TUTTI_RETURN_IF_ERROR(Replace(series, {}));
  Query query(*this, "DELETE FROM series WHERE id = ?");
  return query.Bind(1, series).Run();
}

Status Table::TidySeries(const Extent& extent, const Limits& limits, WallTime now) {
  const auto before = [&](Duration ago) {
    return now.unix_ms - std::chrono::duration_cast<std::chrono::milliseconds>(ago).count();
  };
  const std::int64_t kept_from = before(limits.keep), full_from = before(limits.full_resolution);
  const std::size_t few = limits.points_per_series, many = 10 * few;
  if (extent.newest_ms < kept_from) return Drop(extent.id);
  const bool merges = extent.points > many || (extent.points > few && extent.oldest_ms < full_from);
  if (extent.oldest_ms >= kept_from && !merges) return {};
  TUTTI_ASSIGN_OR_RETURN(const std::vector<Point> points, PointsOf(extent.id));
  std::vector<Point> old, fresh;
  for (const Point& point : points) {
    if (point.at.unix_ms < kept_from) continue;
    (point.at.unix_ms < full_from ? old : fresh).push_back(point);
  }
  std::vector<Point> kept = ByTime(old, few);
  if (fresh.size() > many) fresh = ByTime(fresh, many / 2);
  kept.insert(kept.end(), fresh.begin(), fresh.end());
  return kept == points ? Status() : Replace(extent.id, kept);
}

std::uint64_t Table::PointsIn(const std::vector<Extent>& extents) {
  std::uint64_t total = 0;
  for (const Extent& extent : extents) total += extent.points;
  return total;
}

Status Table::DropOldest(std::vector<Extent> extents, std::uint64_t points_max) {
  std::uint64_t total = PointsIn(extents);
  for (const Extent& extent : extents) {
    if (total <= points_max) return {};
    TUTTI_RETURN_IF_ERROR(Drop(extent.id));
    total -= extent.points;
  }
  return {};
}

Status Table::TidyNotes(const Limits& limits, std::int64_t kept_from_ms) {
  {
    Query query(*this, "DELETE FROM notes WHERE at_ms < ?");
    TUTTI_RETURN_IF_ERROR(query.Bind(1, kept_from_ms).Run());
  }
  Query query(*this,
              "DELETE FROM notes WHERE id IN (SELECT id FROM (SELECT id, sum(length(text)) OVER "
              "(ORDER BY at_ms DESC, id DESC) AS bytes FROM notes) WHERE bytes > ?)");
  return query.Bind(1, static_cast<std::int64_t>(limits.note_bytes_max)).Run();
}

Status Table::Tidy(const Limits& limits, WallTime now) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<Extent> extents, Extents());
  for (const Extent& extent : extents) {
    TUTTI_RETURN_IF_ERROR(Begin());
    TUTTI_RETURN_IF_ERROR(TidySeries(extent, limits, now));
    TUTTI_RETURN_IF_ERROR(Commit());
  }
  // Nothing grew meanwhile: where all fit before, there is none to drop.
  std::vector<Extent> left;
  if (PointsIn(extents) > limits.points_max) {
    TUTTI_ASSIGN_OR_RETURN(left, Extents());
  }
  TUTTI_RETURN_IF_ERROR(Begin());
  TUTTI_RETURN_IF_ERROR(DropOldest(std::move(left), limits.points_max));
  const std::int64_t kept_from =
      now.unix_ms - std::chrono::duration_cast<std::chrono::milliseconds>(limits.keep).count();
  {
    Query query(*this, "DELETE FROM newest WHERE at_ms < ?");
    TUTTI_RETURN_IF_ERROR(query.Bind(1, kept_from).Run());
  }
  TUTTI_RETURN_IF_ERROR(TidyNotes(limits, kept_from));
  TUTTI_RETURN_IF_ERROR(Commit());
  return Execute("PRAGMA incremental_vacuum");
}

// ---- reading
// -------------------------------------------------------------------------------------

Result<std::vector<Series>> Table::Read(const Request& request) {
  std::vector<std::pair<std::int64_t, std::string>> wanted;
  {
    Query query(*this, "SELECT id, name FROM series WHERE subject = ? ORDER BY name");
    query.Bind(1, request.subject);
    for (;;) {
      TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
      if (!row) break;
      std::string name = query.Text(1);
      if (!request.names.empty() && std::ranges::find(request.names, name) == request.names.end()) {
        continue;
      }
      wanted.emplace_back(query.Integer(0), std::move(name));
    }
  }
  std::vector<Series> all;
  for (auto& [id, name] : wanted) {
    TUTTI_ASSIGN_OR_RETURN(std::vector<Point> points, PointsOf(id));
    points = WithoutRepeats(std::move(points));
    std::erase_if(points, [&](const Point& point) {
      return (request.from_step && point.step.value_or(-1) < *request.from_step) ||
             (request.from && point.at.unix_ms < request.from->unix_ms) ||
             (request.to && point.at.unix_ms > request.to->unix_ms);
    });
    if (points.empty()) continue;
    all.push_back({std::move(name), ByCount(points, request.points)});
  }
  return all;
}

Result<std::map<std::string, std::string>> Table::Remembered() {
  Query query(*this, "SELECT subject, text FROM newest");
  std::map<std::string, std::string> texts;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return texts;
    texts.emplace(query.Text(0), query.Text(1));
  }
}

Result<std::vector<history::Note>> Table::Notes(const std::string& subject, std::size_t count) {
  Query query(*this,
              "SELECT step, at_ms, text FROM notes WHERE subject = ? ORDER BY step DESC LIMIT ?");
  query.Bind(1, subject).Bind(2, static_cast<std::int64_t>(count));
  std::vector<history::Note> notes;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) break;
    notes.push_back({query.Integer(0), {query.Integer(1)}, query.Text(2)});
  }
  std::ranges::reverse(notes);
  return notes;
}

}  // namespace tutti::history
