// Curves of the last 30 days, in an SQLite file of their own: full resolution for the newest hours,
// coarser before, where every merged point keeps its last, smallest and largest value.
//
// Nothing here is worth stopping for: Add never waits and a file that cannot be written or read is
// said in the log. A damaged one is moved aside (FILE.damaged) and begun anew.
//
// A thread of its own writes once a second. Add, Remember and Forget: any thread. Read: any thread;
// it waits for the disk. Open and the destructor (which writes what waits) belong to one thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "monitoring/history/points.h"

namespace tutti::history {

class Table;

struct Limits {
  Duration full_resolution = std::chrono::hours(6);
  Duration keep = std::chrono::hours(24 * 30);
  std::size_t points_per_series = 2000;  // of those older than full_resolution; newer: ten times
  std::size_t points_a_second = 20;      // of one series, before they are written
  std::uint64_t points_max = 5'000'000;  // of all; beyond it the series silent for longest go
  std::size_t values_waiting_max = 100'000;
  std::size_t notes_per_subject = 100;                      // the newest steps'
  std::uint64_t note_bytes_max = std::uint64_t{256} << 20;  // of all; beyond it the oldest go
  std::size_t note_bytes_waiting_max = std::size_t{16} << 20;
  Duration write_every = std::chrono::seconds(1);
  Duration tidy_every = std::chrono::minutes(30);
};

// Values that were told together. `subject`: whose they are ("j-0k3v9x2m", "cluster").
struct Sample {
  std::string subject = {};
  WallTime at = {};
  std::optional<std::int64_t> step = {};
  std::vector<std::pair<std::string, double>> values = {};  // not finite ones are left out
};

// What was said at a step, beside its values: the answers of an evaluation.
struct Note {
  std::int64_t step = 0;
  WallTime at = {};
  std::string text = {};

  bool operator==(const Note&) const = default;
};

struct Request {
  std::string subject;
  std::vector<std::string> names = {};  // empty = all
  std::optional<std::int64_t> from_step = {};
  std::optional<WallTime> from = {};
  std::optional<WallTime> to = {};
  std::size_t points = 500;  // of each series at most
};

class History {
 public:
  struct Options {
    std::filesystem::path path;
    Limits limits = {};
    std::function<WallTime()> now = WallNow;
  };
  static std::unique_ptr<History> Open(Options options);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Dropped when too much waits already.
  void Add(Sample sample);
  // One text a subject, the newest: what is to be known after a restart.
  void Remember(std::string subject, std::string text);
  // One note a step, the newest. Dropped when too much waits already.
  void AddNote(std::string subject, Note note);
  void Forget(std::string subject);  // its curves, its notes and its text

  // Curves by name, those without points left out. What waits to be written is not in them.
  // kUnavailable when the file cannot be read now.
  Result<std::vector<Series>> Read(const Request& request);
  Result<std::map<std::string, std::string>> Remembered();
  // Those of the newest steps, at most `count`, ascending. As Read.
  Result<std::vector<Note>> Notes(const std::string& subject, std::size_t count);

  // Writes what waits; returns once it is written.
  void Flush();
  // Merges and removes what is old, as a timer does.
  void Tidy();

 private:
  struct Pending {
    std::vector<Sample> samples;
    std::map<std::string, std::string> texts;
    std::vector<std::pair<std::string, Note>> notes;  // with their subjects
    std::vector<std::string> forgotten;
    std::size_t values = 0;
    std::size_t note_bytes = 0;
    std::uint64_t dropped = 0;  // values and notes
    bool empty() const {
      return samples.empty() && texts.empty() && notes.empty() && forgotten.empty();
    }
  };
  explicit History(Options options);
  void Run();
  void OpenTables();
  void MoveAside(const Error& why);
  void Write(Pending pending);
  // Says what failed; opens anew when the file is damaged.
  void Failed(const Error& error, const char* what);

  const Options options_;
  std::mutex writing_;  // guards writer_
  std::unique_ptr<Table> writer_;
  std::mutex reading_;  // guards reader_; taken after writing_ where both are
  std::unique_ptr<Table> reader_;
  // kUnavailable when it fails; the file is opened anew where that helps.
  template <typename ReadOne>
  auto ReadTable(ReadOne read_one) -> decltype(read_one(*reader_));

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Pending pending_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tutti::history
