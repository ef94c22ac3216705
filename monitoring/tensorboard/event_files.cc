#include "monitoring/tensorboard/event_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>

#include "common/base/log.h"
#include "common/base/units.h"
#include "common/file/file.h"
#include "monitoring/tensorboard/record.h"

namespace tutti::tensorboard {
namespace {

namespace fs = std::filesystem;

constexpr Bytes kFileMax{std::int64_t{1} << 30};
constexpr std::string_view kPrefix = "events.out.tfevents.";
constexpr const char* kSpecTag = "spec/text_summary";

// "train" of "train/loss": what is told together has steps of its own.
std::string KindOf(const std::string& tag) { return tag.substr(0, tag.find('/')); }

fs::path NameOf(const Run& run) {
  return std::string(kPrefix) + std::to_string(run.started.unix_ms / 1000) + ".tutti";
}

}  // namespace

EventFiles::EventFiles(Options options)
    : options_(std::move(options)), thread_([this] { Loop(); }) {}

EventFiles::~EventFiles() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  Flush();
}

void EventFiles::Begin(Run run) {
  const std::lock_guard lock(mutex_);
  waiting_.emplace_back(std::move(run));
}

void EventFiles::Add(const std::string& run, Scalars scalars) {
  if (scalars.values.empty()) return;
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= options_.waiting_max) {
    ++dropped_;
    return;
  }
  waiting_.emplace_back(Addition{run, std::move(scalars)});
}

void EventFiles::Remove(std::string suffix) {
  const std::lock_guard lock(mutex_);
  waiting_.emplace_back(Removal{std::move(suffix)});
}

void EventFiles::Loop() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, options_.write_every, [&] { return stopping_; })) {
    lock.unlock();
    Flush();
    lock.lock();
  }
}

void EventFiles::Flush() {
  const std::lock_guard writing(writing_);
  std::vector<Task> tasks;
  std::uint64_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(waiting_);
    std::swap(dropped, dropped_);
  }
  if (dropped > 0) Log(kWarning, "tensorboard_events_dropped", {{"events", dropped}});
  Write(std::move(tasks));
}

// Additions of one run in a row are one write.
void EventFiles::Write(std::vector<Task> tasks) {
  std::map<std::string, std::vector<Scalars>> events;
  const auto append = [&] {
    for (const auto& [run, scalars] : events) {
      const auto file = files_.find(run);
      if (file == files_.end()) continue;
      const Status written = Append(file->second, scalars);
      if (!written && !file->second.failed) {
        Log(kError, "tensorboard_not_written",
            {{"run", run}, {"error", written.error().ToString()}});
      }
      file->second.failed = !written;
    }
    events.clear();
  };
  for (Task& task : tasks) {
    if (auto* addition = std::get_if<Addition>(&task)) {
      events[addition->run].push_back(std::move(addition->scalars));
    } else if (auto* run = std::get_if<Run>(&task)) {
      const std::string name = run->name;
      files_.try_emplace(name, File{.run = std::move(*run)});
    } else if (const auto* removal = std::get_if<Removal>(&task)) {
      append();
      RemoveRuns(removal->suffix);
    }
  }
  append();
}

// What an earlier writer left: the last step of each kind. Its unfinished end goes.
Status EventFiles::Look(File& file, const fs::path& folder) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(folder));
  const fs::path path = folder / NameOf(file.run);
  std::error_code error;
  if (!fs::exists(path, error)) {
    const std::string head = Framed(VersionEvent(file.run.started)) +
                             Framed(TextEvent(file.run.started, kSpecTag, file.run.markdown));
    TUTTI_RETURN_IF_ERROR(WriteFileAtomically(path, head, {.durable = false}));
  }
  TUTTI_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileMax));
  RecordReader reader(bytes);
  for (std::string_view record; reader.Next(record);) {
    if (const auto summary = SummaryOf(record)) {
      std::int64_t& last = file.last[KindOf(summary->tag)];
      last = std::max(last, summary->step);
    }
  }
  if (reader.position() < bytes.size() &&
      ::truncate(path.c_str(), static_cast<off_t>(reader.position())) != 0) {
    return Fail(ErrnoError("cannot cut off what is damaged", path.string(), errno));
  }
  file.path = path;
  return {};
}

Status EventFiles::Append(File& file, const std::vector<Scalars>& events) {
  if (file.path.empty()) {
    TUTTI_RETURN_IF_ERROR(Look(file, options_.directory / file.run.name));
  }
  std::map<std::string, std::int64_t> last = file.last;
  std::string bytes;
  for (const Scalars& event : events) {
    const auto [kind, first] = last.try_emplace(KindOf(event.values.front().first), event.step);
    if (!first && event.step <= kind->second) continue;
    kind->second = event.step;
    bytes += Framed(ScalarsEvent(event));
  }
  if (bytes.empty()) return {};
  const UniqueFd fd(::open(file.path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  struct stat before {};
  if (!fd || ::fstat(fd.get(), &before) != 0) {
    const int error = errno;
    file.path.clear();  // somebody removed it: begun anew
    file.last.clear();
    return Fail(ErrnoError("cannot open", file.run.name, error));
  }
  Status written = WriteAll(fd.get(), std::as_bytes(std::span(bytes)), file.path.string());
  if (!written) {
    if (::ftruncate(fd.get(), before.st_size) != 0) file.path.clear();
    return written;
  }
  file.last = std::move(last);
  return {};
}

void EventFiles::RemoveRuns(const std::string& suffix) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.directory, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(suffix)) continue;
    files_.erase(name);
    if (const Status removed = RemoveTree(entry.path()); !removed) {
      Log(kWarning, "tensorboard_not_removed",
          {{"run", name}, {"error", removed.error().ToString()}});
    }
  }
  std::erase_if(files_, [&](const auto& each) { return each.first.ends_with(suffix); });
}

}  // namespace tutti::tensorboard
