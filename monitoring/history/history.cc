#include "monitoring/history/history.h"

#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "monitoring/history/table.h"

namespace tutti::history {
namespace {

namespace fs = std::filesystem;

Unexpected Unavailable() {
  return Fail(ErrorCode::kUnavailable, "the history of metrics cannot be read now", {},
              "the coordinator's log says why");
}

std::size_t PointsIn(Duration time, std::size_t a_second) {
  const double seconds = std::chrono::duration<double>(time).count();
  return static_cast<std::size_t>(std::max(1.0, seconds * static_cast<double>(a_second)));
}

}  // namespace

History::History(Options options) : options_(std::move(options)) {}

std::unique_ptr<History> History::Open(Options options) {
  std::unique_ptr<History> history(new History(std::move(options)));
  {
    const std::lock_guard writing(history->writing_);
    history->OpenTables();
  }
  history->thread_ = std::thread([&self = *history] { self.Run(); });
  return history;
}

History::~History() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  Flush();
}

// REQUIRES: writing_ is held.
void History::OpenTables() {
  auto writer = Table::Open(options_.path, Table::Mode::kWrite);
  if (!writer && writer.error().code == ErrorCode::kInternal) {
    MoveAside(writer.error());
    writer = Table::Open(options_.path, Table::Mode::kWrite);
  }
  if (!writer) {
    Log(kError, "history_unavailable", {{"error", writer.error().ToString()}});
    return;
  }
  auto reader = Table::Open(options_.path, Table::Mode::kRead);
  const std::lock_guard reading(reading_);
  writer_ = std::move(*writer);
  if (reader) reader_ = std::move(*reader);
}

// REQUIRES: writing_ is held.
void History::MoveAside(const Error& why) {
  writer_.reset();
  {
    const std::lock_guard reading(reading_);
    reader_.reset();
  }
  fs::path aside = options_.path;
  aside += ".damaged";
  Log(kError, "history_damaged", {{"error", why.ToString()}, {"moved_to", aside.string()}});
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    fs::rename(options_.path.string() + suffix, aside.string() + suffix, ignored);
  }
}

void History::Failed(const Error& error, const char* what) {
  Log(kError, "history_failed", {{"what", what}, {"error", error.ToString()}});
  if (error.code != ErrorCode::kInternal) return;
  MoveAside(error);
  OpenTables();
}

// ---- what waits
// ----------------------------------------------------------------------------------

void History::Add(Sample sample) {
  std::erase_if(sample.values, [](const auto& value) { return !std::isfinite(value.second); });
  if (sample.values.empty()) return;
  const std::lock_guard lock(mutex_);
  if (pending_.values + sample.values.size() > options_.limits.values_waiting_max) {
    pending_.dropped += sample.values.size();
    return;
  }
  pending_.values += sample.values.size();
  pending_.samples.push_back(std::move(sample));
}

void History::Remember(std::string subject, std::string text) {
  const std::lock_guard lock(mutex_);
  pending_.texts[std::move(subject)] = std::move(text);
}

void History::AddNote(std::string subject, Note note) {
  const std::lock_guard lock(mutex_);
  if (pending_.note_bytes + note.text.size() > options_.limits.note_bytes_waiting_max) {
    ++pending_.dropped;
    return;
  }
  pending_.note_bytes += note.text.size();
  pending_.notes.emplace_back(std::move(subject), std::move(note));
}

void History::Forget(std::string subject) {
  const std::lock_guard lock(mutex_);
  pending_.texts.erase(subject);
  std::erase_if(pending_.notes, [&](const auto& one) { return one.first == subject; });
  std::erase_if(pending_.samples, [&](const Sample& one) { return one.subject == subject; });
  pending_.forgotten.push_back(std::move(subject));
}

void History::Run() {
  Instant next_tidy = MonotonicNow() + options_.limits.tidy_every;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, options_.limits.write_every, [&] { return stopping_; })) {
    lock.unlock();
    Flush();
    if (MonotonicNow() >= next_tidy) {
      Tidy();
      next_tidy = MonotonicNow() + options_.limits.tidy_every;
    }
    lock.lock();
  }
}

void History::Flush() {
  const std::lock_guard writing(writing_);
  Pending pending;
  {
    const std::lock_guard lock(mutex_);
    pending = std::exchange(pending_, {});
  }
  if (pending.dropped > 0) Log(kWarning, "history_dropped", {{"values", pending.dropped}});
  if (!pending.empty()) Write(std::move(pending));
}

// ---- the file
// ------------------------------------------------------------------------------------

// REQUIRES: writing_ is held.
void History::Write(Pending pending) {
  if (!writer_) OpenTables();  // its disk may be back
  if (!writer_) return;
  std::map<std::pair<std::string, std::string>, std::vector<Point>> series;
  for (const Sample& sample : pending.samples) {
    for (const auto& [name, value] : sample.values) {
      series[{sample.subject, name}].push_back(
          {.at = sample.at, .step = sample.step, .last = value, .min = value, .max = value});
    }
  }
  const std::size_t a_write =
      PointsIn(options_.limits.write_every, options_.limits.points_a_second);
  const auto write = [&]() -> Status {
    TUTTI_RETURN_IF_ERROR(writer_->Begin());
    for (const std::string& subject : pending.forgotten) {
      TUTTI_RETURN_IF_ERROR(writer_->Forget(subject));
    }
    for (const auto& [key, points] : series) {
      TUTTI_RETURN_IF_ERROR(writer_->Append(key.first, key.second, ByCount(points, a_write)));
    }
    for (const auto& [subject, text] : pending.texts) {
      TUTTI_RETURN_IF_ERROR(writer_->Remember(subject, text, options_.now()));
    }
    for (const auto& [subject, note] : pending.notes) {
      TUTTI_RETURN_IF_ERROR(writer_->Note(subject, note, options_.limits.notes_per_subject));
    }
    return writer_->Commit();
  };
  const Status written = write();
  if (written) return;
  writer_->RollBack();
  Failed(written.error(), "write");
}

void History::Tidy() {
  const std::lock_guard writing(writing_);
  if (!writer_) return;
  const Status tidied = writer_->Tidy(options_.limits, options_.now());
  if (tidied) return;
  writer_->RollBack();
  Failed(tidied.error(), "tidy");
}

template <typename ReadOne>
auto History::ReadTable(ReadOne read_one) -> decltype(read_one(*reader_)) {
  Error error;
  {
    const std::lock_guard reading(reading_);
    if (!reader_) return Unavailable();
    auto read = read_one(*reader_);
    if (read) return read;
    error = read.error();
  }
  const std::lock_guard writing(writing_);
  Failed(error, "read");
  return Unavailable();
}

Result<std::vector<Series>> History::Read(const Request& request) {
  return ReadTable([&](Table& table) { return table.Read(request); });
}

Result<std::vector<Note>> History::Notes(const std::string& subject, std::size_t count) {
  return ReadTable([&](Table& table) { return table.Notes(subject, count); });
}

Result<std::map<std::string, std::string>> History::Remembered() {
  const std::lock_guard reading(reading_);
  if (!reader_) return Unavailable();
  return reader_->Remembered();
}

}  // namespace tutti::history
