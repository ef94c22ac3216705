#include "scheduler/coordinator/backup.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "common/base/log.h"
#include "common/file/file.h"
#include "common/version/version.h"
#include "scheduler/coordinator/on_loop.h"
#include "scheduler/store/copy.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr int kPagesAtOnce = 256;  // 1 MiB of the state database between two rounds
constexpr std::size_t kBlock = std::size_t{64} << 20;
constexpr unsigned kPrivate = 0700;

Unexpected GivenUp() {
  return Fail(ErrorCode::kUnavailable, "the coordinator stops; the backup was given up", {},
              "back up again once it is up");
}

Error Wrong(const std::string& what, const fs::path& path, const std::error_code& error) {
  return ErrnoError(what, path.string(), error.value());
}

// How a folder's files come into the copy.
enum class How {
  kCopy,  // they may change
  kLink,  // they never do
};

// What of one folder goes: files below it, by their names.
using FileFilter = std::function<bool(const fs::path& file)>;

bool IsFinal(const fs::path& file) {
  return file.filename().string().find(".tmp-") == std::string::npos;
}

class Copier {
 public:
  Copier(BackupReport& report, const std::atomic<bool>& stopping)
      : report_(report), stopping_(stopping) {}

  // The files below `from`. Those that vanish meanwhile (a checkpoint is collected, a log goes) are
  // left out.
  Status Tree(const fs::path& from, const fs::path& to, How how,
              const FileFilter& wanted = IsFinal) {
    std::error_code error;
    if (!fs::is_directory(from, error)) return {};
    TUTTI_RETURN_IF_ERROR(MakeDirectories(to, ModeOf(from)));
    for (fs::directory_iterator entry(from, error), end; !error && entry != end;
         entry.increment(error)) {
      if (stopping_) return GivenUp();
      std::error_code gone;
      const fs::path name = entry->path().filename();
      if (entry->is_directory(gone) && !entry->is_symlink(gone)) {
        TUTTI_RETURN_IF_ERROR(Tree(entry->path(), to / name, how, wanted));
      } else if (entry->is_regular_file(gone) && wanted(entry->path())) {
        TUTTI_RETURN_IF_ERROR(File(entry->path(), to / name, how));
      }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
      return Fail(Wrong("cannot read the folder", from, error));
    }
    return {};
  }

  Status File(const fs::path& from, const fs::path& to, How how) {
    struct stat before {};
    if (::stat(from.c_str(), &before) != 0) return Vanished(from, errno);
    const bool linked = how == How::kLink && ::link(from.c_str(), to.c_str()) == 0;
    if (!linked) {
      const UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
      if (!in) return Vanished(from, errno);
      TUTTI_RETURN_IF_ERROR(CopyBytes(in.get(), to, before.st_mode & 0777));
    }
    ++report_.files;
    report_.bytes += static_cast<std::uint64_t>(before.st_size);
    if (linked) report_.bytes_linked += static_cast<std::uint64_t>(before.st_size);
    return {};
  }

 private:
  // Shared blocks where the file system can, else block by block.
  Status CopyBytes(int in, const fs::path& to, unsigned mode) {
    const UniqueFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!out) return Fail(ErrnoError("cannot create", to.string(), errno));
    for (bool more = ::ioctl(out.get(), FICLONE, in) != 0; more;) {
      if (stopping_) return GivenUp();
      const ssize_t count = ::sendfile(out.get(), in, nullptr, kBlock);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Fail(ErrnoError("cannot write", to.string(), errno));
      more = count > 0;
    }
    if (::fchmod(out.get(), mode) == 0) return {};
    return Fail(ErrnoError("cannot protect", to.string(), errno));
  }
  static unsigned ModeOf(const fs::path& folder) {
    struct stat info {};
    return ::stat(folder.c_str(), &info) == 0 ? info.st_mode & 0777 : kPrivate;
  }
  static Status Vanished(const fs::path& from, int error_number) {
    if (error_number == ENOENT) return {};
    return Fail(ErrnoError("cannot copy", from.string(), error_number));
  }

  BackupReport& report_;
  const std::atomic<bool>& stopping_;
};

bool IsDatabase(const fs::path& file) {
  return file.filename().string().find(".db") != std::string::npos;
}

// Keys, certificates, tokens, allowed workers: everything of the coordinator's folder that is
// neither a database nor passing.
Status CopyOwn(Copier& copier, const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (fs::directory_iterator entry(from, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;
    const std::string name = entry->path().filename();
    if (name == "uploads" || name == "blobs" || name == "serving.json" || name == "reserve" ||
        !IsFinal(name)) {
      continue;
    }
    if (entry->is_directory(gone)) {
      TUTTI_RETURN_IF_ERROR(copier.Tree(entry->path(), to / name, How::kCopy));
    } else if (!IsDatabase(name)) {
      TUTTI_RETURN_IF_ERROR(copier.File(entry->path(), to / name, How::kCopy));
    } else if (name == "history.db") {
      // Curves: a backup without them is better than none.
      if (const Status copied = store::CopyDatabase(entry->path(), to / name); !copied) {
        Log(kWarning, "history_not_backed_up", {{"error", copied.error().ToString()}});
      }
    }
  }
  if (error) return Fail(Wrong("cannot read the folder", from, error));
  return {};
}

// A checkpoint's file before its manifest: none may stand without its file in the copy either.
Status CopyCheckpoints(Copier& copier, const fs::path& from, const fs::path& to) {
  const auto ends = [](const char* suffix) {
    return [suffix](const fs::path& file) { return IsFinal(file) && file.extension() == suffix; };
  };
  TUTTI_RETURN_IF_ERROR(copier.Tree(from, to, How::kLink, ends(".h5")));
  return copier.Tree(from, to, How::kLink, [&](const fs::path& manifest) {
    if (!IsFinal(manifest) || manifest.extension() != ".json") return false;
    fs::path data = to / fs::relative(manifest, from);
    data.replace_extension(".h5");
    std::error_code ignored;
    return fs::exists(data, ignored);
  });
}

// Everything under it is on disk when this returns.
Status SyncFileSystem(const fs::path& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::syncfs(fd.get()) != 0) {
    return Fail(ErrnoError("cannot sync", folder.string(), errno));
  }
  return {};
}

Status CheckTarget(const fs::path& to, const fs::path& data_dir) {
  if (!to.is_absolute()) return Fail(ErrorCode::kInvalid, "the path is not absolute", to.string());
  std::error_code error;
  const auto inside =
      fs::weakly_canonical(to, error).lexically_relative(fs::weakly_canonical(data_dir, error));
  if (!inside.empty() && *inside.begin() != "..") {
    return Fail(ErrorCode::kInvalid, "a backup inside the data directory would copy itself",
                to.string(), "name a folder elsewhere, better on another disk");
  }
  if (!fs::exists(to, error)) {
    if (fs::is_directory(to.parent_path(), error)) return {};
    return Fail(ErrorCode::kNotFound, "there is no such folder", to.parent_path().string());
  }
  if (fs::is_directory(to, error) && fs::is_empty(to, error)) return {};
  return Fail(ErrorCode::kConflict, "it is there already", to.string(),
              "name a folder that does not exist, or an empty one");
}

}  // namespace

Status Backups::Start(const fs::path& where, Done done) {
  fs::path to = where.lexically_normal();
  if (!to.has_filename()) to = to.parent_path();
  const std::lock_guard lock(mutex_);
  if (stopping_) return GivenUp();
  TUTTI_RETURN_IF_ERROR(CheckTarget(to, data_dir_));
  if (running_.exchange(true)) {
    return Fail(ErrorCode::kConflict, "another backup is being made", {}, "wait for it");
  }
  if (thread_.joinable()) thread_.join();
  thread_ = std::thread([this, to, done = std::move(done)] {
    const Result<BackupReport> report = Make(to);
    if (report) {
      Log(kInfo, "backup_made", {{"path", to.string()}, {"bytes", report->bytes}});
    } else {
      Log(kError, "backup_failed", {{"path", to.string()}, {"error", report.error().ToString()}});
    }
    running_ = false;
    done(report);
  });
  return {};
}

void Backups::Stop() {
  stopping_ = true;
  const std::lock_guard lock(mutex_);
  if (thread_.joinable()) thread_.join();
}

Result<BackupReport> Backups::Make(const fs::path& to) {
  const Instant started = MonotonicNow();
  fs::path under_way = to;
  under_way += ".tmp-" + std::to_string(::getpid());
  TUTTI_RETURN_IF_ERROR(RemoveTree(under_way));
  TUTTI_RETURN_IF_ERROR(MakeDirectories(under_way, kPrivate));
  auto report = Fill(under_way);
  if (report && ::rename(under_way.c_str(), to.c_str()) != 0) {
    report = Fail(ErrnoError("cannot rename into place", to.string(), errno));
  }
  if (!report) {
    static_cast<void>(RemoveTree(under_way));
    return report;
  }
  TUTTI_RETURN_IF_ERROR(SyncDirectory(to.parent_path()));
  report->path = to;
  report->took = MonotonicNow() - started;
  return report;
}

// Between rounds, piece by piece: the loop goes on deciding, and what it stores is in the copy too.
Result<std::uint64_t> Backups::CopyState(const fs::path& to) {
  using Jobs = std::optional<std::uint64_t>;  // none: there is more to copy
  TUTTI_RETURN_IF_ERROR(
      OnLoop(loop_, [to](const View& view) -> Status { return view.store->BeginCopy(to); }));
  for (;;) {
    if (stopping_) return GivenUp();
    TUTTI_ASSIGN_OR_RETURN(const Jobs jobs, OnLoop(loop_, [](const View& view) -> Result<Jobs> {
                             TUTTI_ASSIGN_OR_RETURN(const bool done,
                                                    view.store->CopyMore(kPagesAtOnce));
                             return done ? Jobs(view.state->ledger.last_sequence) : std::nullopt;
                           }));
    if (jobs) return *jobs;
  }
}

Result<BackupReport> Backups::Fill(const fs::path& folder) {
  BackupReport report;
  Copier copier(report, stopping_);
  const fs::path own = folder / "coordinator";
  TUTTI_RETURN_IF_ERROR(MakeDirectories(own, kPrivate));
  // From before the database is copied until the last blob is there.
  const std::lock_guard nothing_goes(collecting_);
  TUTTI_ASSIGN_OR_RETURN(report.jobs, CopyState(own / "state.db"));
  TUTTI_RETURN_IF_ERROR(copier.Tree(data_dir_ / "coordinator/blobs", own / "blobs", How::kLink));
  TUTTI_RETURN_IF_ERROR(CopyOwn(copier, data_dir_ / "coordinator", own));
  TUTTI_RETURN_IF_ERROR(copier.Tree(data_dir_ / "models", folder / "models", How::kLink));
  TUTTI_RETURN_IF_ERROR(copier.Tree(data_dir_ / "tensorboard", folder / "tensorboard", How::kCopy));
  TUTTI_RETURN_IF_ERROR(CopyCheckpoints(copier, data_dir_ / "jobs", folder / "jobs"));
  TUTTI_RETURN_IF_ERROR(copier.File(data_dir_ / "token", folder / "token", How::kCopy));
  const nlohmann::json about = {{"version", Version()},     {"made_at", WallNow().ToRfc3339()},
                                {"of", data_dir_.string()}, {"jobs", report.jobs},
                                {"files", report.files},    {"bytes", report.bytes}};
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(folder / "backup.json", about.dump(2) + "\n"));
  TUTTI_RETURN_IF_ERROR(SyncFileSystem(folder));
  return report;
}

}  // namespace tutti::coordinator
