// Looking after a cluster's data directory: backups, and blobs that nothing needs.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "common/base/units.h"
#include "common/file/file.h"
#include "jobs/cli/child_output.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/text.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Duration kBackupTimeout = std::chrono::hours(24);
constexpr Duration kCollectTimeout = std::chrono::minutes(31);

bool IsArchive(const fs::path& path) {
  const std::string name = path.filename();
  return name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tgz");
}

std::string BytesText(const json& value, const char* pointer) {
  return FormatBytes(Bytes{IntAt(value, pointer).value_or(0)});
}

// Removed, whatever is in it, when the command ends.
struct Passing {
  explicit Passing(fs::path where) : path(std::move(where)) {}
  ~Passing() { static_cast<void>(RemoveTree(path)); }
  Passing(const Passing&) = delete;
  Passing& operator=(const Passing&) = delete;
  const fs::path path;
};

Status SyncFile(const fs::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return Fail(ErrnoError("cannot sync", path.string(), errno));
  return SyncDirectory(path.parent_path());
}

// The files of `folder` as an archive; whole or not at all.
Status Pack(const fs::path& folder, const fs::path& archive) {
  const Passing under_way(archive.string() + ".part");
  ::umask(077);  // it has the cluster's keys
  const bool packed = !archive.filename().string().ends_with(".tar");
  const auto ran = RunChild(
      "/usr/bin/tar",
      {.arguments = {"-C", folder.string(), packed ? "-czf" : "-cf", under_way.path.string(), "."},
       .deadline = kBackupTimeout});
  if (!ran) return Fail(ran.error());
  // 1: a file's times changed meanwhile; the bytes of what a backup has do not.
  if (ran->exit_code > 1) {
    return Fail(ErrorCode::kIo, "tar ended with status " + std::to_string(ran->exit_code),
                archive.string(), "is there room for it? name a folder to do without tar");
  }
  if (::rename(under_way.path.c_str(), archive.c_str()) != 0) {
    return Fail(ErrnoError("cannot rename into place", archive.string(), errno));
  }
  return SyncFile(archive);
}

// An archive is made here of what the coordinator writes: it has to be on this machine.
Status CheckArchive(Context& context, const fs::path& to) {
  std::error_code ignored;
  if (fs::exists(to, ignored)) {
    return Fail(ErrorCode::kConflict, "it is there already", to.string(), "name another file");
  }
  const auto at = context.client.endpoint();
  if (at && at->data_dir.empty()) {
    return Fail(ErrorCode::kUnsupported, "an archive is made on the coordinator's machine alone",
                to.string(), "run it there, with its --data-dir; or name a folder there");
  }
  return {};
}

void TellBackup(Console& console, const json& made, const fs::path& to) {
  if (console.json()) {
    json told = made;
    told["path"] = to.string();
    console.OutJson(told);
    return;
  }
  console.Out(to.string());
  if (console.quiet()) return;
  const std::int64_t jobs = IntAt(made, "/jobs").value_or(0);
  std::string text = Count(jobs) + (jobs == 1 ? " job, " : " jobs, ") + BytesText(made, "/bytes") +
                     " in " + Count(IntAt(made, "/files").value_or(0)) + " files";
  if (!IsArchive(to) && IntAt(made, "/bytes_linked").value_or(0) > 0) {
    text += "; " + BytesText(made, "/bytes_linked") +
            " are shared with the data directory on the same disk: copy it to another one too";
  }
  console.Note(text);
  console.Note("it has the cluster's keys: keep it private. Restore: docs/operations.md");
}

}  // namespace

int Backup(Context& context, const std::string& path) {
  Console& console = context.console;
  fs::path to = fs::absolute(path).lexically_normal();
  if (!to.has_filename()) to = to.parent_path();
  const bool archive = IsArchive(to);
  fs::path folder = to;
  if (archive) {
    if (const Status good = CheckArchive(context, to); !good) {
      console.Complain(good.error());
      return kUsage;
    }
    folder += ".folder-" + std::to_string(::getpid());
  }
  // Ctrl-C: what the archive is made of goes, too.
  std::optional<client::InterruptScope> interrupts;
  if (archive) interrupts.emplace();
  const auto made = context.client.Post("/api/v1/backup", {{"path", folder.string()}},
                                        {.timeout = kBackupTimeout});
  if (!made) return console.Complain(made.error());
  if (archive) {
    const Passing passing(folder);
    const Status packed =
        client::Interrupted() ? Fail(ErrorCode::kUnavailable, "interrupted") : Pack(folder, to);
    if (!packed && client::Interrupted()) {
      console.Note("interrupted: no backup was made");
      return kInterrupted;
    }
    if (!packed) return console.Complain(packed.error());
  }
  TellBackup(console, *made, to);
  return kOk;
}

int BlobGc(Context& context, const BlobGcOptions& options) {
  Console& console = context.console;
  json body = {{"dry_run", options.dry_run}};
  if (!options.grace.empty()) {
    const auto grace = ParseDuration(options.grace);
    if (!grace) {
      console.Complain(Error{ErrorCode::kInvalid, "'" + options.grace + "' is no time", "--grace",
                             "write it like 10m, 24h or 7d"});
      return kUsage;
    }
    body["grace_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(*grace).count();
  }
  const auto collected =
      context.client.Post("/api/v1/blobs/gc", body, {.timeout = kCollectTimeout});
  if (!collected) return console.Complain(collected.error());
  if (console.json()) {
    console.OutJson(*collected);
    return kOk;
  }
  const std::int64_t count = IntAt(*collected, "/removed").value_or(0);
  if (count == 0) {
    console.Note("nothing to remove");
  } else {
    console.Out(std::string(options.dry_run ? "would free " : "freed ") +
                BytesText(*collected, "/freed_bytes") + ": " + std::to_string(count) +
                (count == 1 ? " blob" : " blobs"));
  }
  return kOk;
}

}  // namespace tutti::cli
