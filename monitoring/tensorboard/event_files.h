// EventFiles: one event file a run, DIR/RUN/events.out.tfevents.SECONDS.tutti, which grows while
// its job trains and which TensorBoard reads meanwhile.
//
// A step is in the file once, whatever happens: a later attempt that does steps again, or a writer
// that starts again, adds only what is beyond the last one; of training and of evaluations each.
// What a crash left half-written at the end is cut off.
//
// Nothing here is worth stopping for: Add never waits, and what cannot be written is said in the
// log and left out. A thread of its own writes. Begin, Add and Remove: any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "monitoring/tensorboard/event.h"

namespace tutti::tensorboard {

// A run's beginning: what its file is called by, and what is said of it once.
struct Run {
  std::string name = {};  // of its folder
  WallTime started = {};
  std::string markdown = {};  // under the tag "spec/text_summary"
};

class EventFiles {
 public:
  struct Options {
    std::filesystem::path directory;
    Duration write_every = std::chrono::seconds(1);
    std::size_t waiting_max = 100'000;  // events; more are dropped
  };
  explicit EventFiles(Options options);
  ~EventFiles();  // writes what waits
  EventFiles(const EventFiles&) = delete;
  EventFiles& operator=(const EventFiles&) = delete;

  // Before the run's first Add, once in this object's life.
  void Begin(Run run);
  void Add(const std::string& run, Scalars scalars);
  // The folders of runs whose names end so.
  void Remove(std::string suffix);

  // Writes what waits; returns once it is written.
  void Flush();

 private:
  struct Addition {
    std::string run;
    Scalars scalars;
  };
  struct Removal {
    std::string suffix;
  };
  using Task = std::variant<Run, Addition, Removal>;

  // A run's file, of the thread that writes.
  struct File {
    Run run;
    std::filesystem::path path = {};                // "" = not looked at yet
    std::map<std::string, std::int64_t> last = {};  // tag's first word -> step
    bool failed = false;                            // said already
  };

  void Loop();
  void Write(std::vector<Task> tasks);
  Status Append(File& file, const std::vector<Scalars>& events);
  static Status Look(File& file, const std::filesystem::path& folder);
  void RemoveRuns(const std::string& suffix);

  const Options options_;
  std::mutex writing_;                 // guards files_
  std::map<std::string, File> files_;  // by run
  std::mutex mutex_;                   // guards what follows
  std::condition_variable wake_;
  std::vector<Task> waiting_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tutti::tensorboard
