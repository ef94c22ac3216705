#include "worker/agent/checkpoint_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Bytes kManifestMax{1 << 20};
constexpr auto kKeptUnused = std::chrono::hours(24);

std::string TargetOf(const std::string& job, const std::string& file) {
  return "/api/v1/jobs/" + job + "/checkpoints/" + file;
}

fs::path ManifestOf(fs::path data) { return data.replace_extension(".json"); }

Result<json> ReadManifest(const fs::path& path) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kManifestMax));
  json manifest = json::parse(text, nullptr, false);
  if (manifest.is_object()) return manifest;
  return Fail(ErrorCode::kInvalid, "not a manifest", path.string());
}

// One file of a checkpoint as the coordinator has it.
struct WantedPart {
  std::string name;
  Digest digest;
  Bytes size;
};
struct Wanted {
  std::uint64_t step = 0;
  WantedPart data;
  WantedPart manifest;
};

Result<Wanted> ReadRef(const wire::CheckpointRef& ref) {
  const auto data = Digest::Parse(ref.data_digest());
  const auto manifest = Digest::Parse(ref.manifest_digest());
  if (!data || !manifest) {
    return Fail(ErrorCode::kNotFound, "the checkpoint of step " + std::to_string(ref.step()) +
                                          " lies on the coordinator's machine alone");
  }
  const fs::path name = fs::path(ref.path()).filename();
  return Wanted{.step = ref.step(),
                .data = {.name = name.string(),
                         .digest = *data,
                         .size = Bytes{static_cast<std::int64_t>(ref.size_bytes())}},
                .manifest = {.name = ManifestOf(name).string(),
                             .digest = *manifest,
                             .size = Bytes{static_cast<std::int64_t>(ref.manifest_size_bytes())}}};
}

bool IsWhole(const fs::path& path, const WantedPart& part) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || info.st_size != part.size.count) return false;
  const auto digest = Sha256OfFile(path);
  return digest && *digest == part.digest;
}

// What is there already, or fetched and verified and only then under its name.
Status Ensure(const std::string& job, const WantedPart& part, const fs::path& folder,
              const RemoteBlobs& remote, std::stop_token stop) {
  TUTTI_ASSIGN_OR_RETURN(const fs::path path, JoinBeneath(folder, part.name));
  if (IsWhole(path, part)) return {};
  const fs::path fetched = path.string() + ".tmp-" + std::to_string(getpid());
  unlink(fetched.c_str());
  Status status = remote.FetchFrom(TargetOf(job, part.name), part.digest, part.size, fetched, stop);
  if (status && rename(fetched.c_str(), path.c_str()) != 0) {
    status = Fail(ErrnoError("cannot rename into place", path.string(), errno));
  }
  if (!status) {
    unlink(fetched.c_str());
    return status;
  }
  return SyncDirectory(folder);
}

Status EnsureBoth(const std::string& job, const Wanted& wanted, const fs::path& folder,
                  const RemoteBlobs& remote, std::stop_token stop) {
  TUTTI_RETURN_IF_ERROR(Ensure(job, wanted.data, folder, remote, stop));
  return Ensure(job, wanted.manifest, folder, remote, std::move(stop));
}

// Only the older one helps then; everything else may be different the next time.
bool IsGoneOrDamaged(const Error& error) {
  return error.code == ErrorCode::kNotFound || error.code == ErrorCode::kInvalid;
}

Status RemoveUnlisted(const fs::path& folder, const wire::LaunchGang& launch) {
  std::set<std::string> listed;
  for (const wire::CheckpointRef& ref : launch.checkpoints()) {
    const fs::path name = fs::path(ref.path()).filename();
    listed.insert(name.string());
    listed.insert(ManifestOf(name).string());
  }
  std::error_code error;
  std::vector<fs::path> manifests;
  std::vector<fs::path> others;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (listed.contains(entry->path().filename().string())) continue;
    (entry->path().extension() == ".json" ? manifests : others).push_back(entry->path());
  }
  if (error) return Fail(ErrnoError("cannot list", folder.string(), error.value()));
  for (const fs::path& path : manifests) TUTTI_RETURN_IF_ERROR(RemoveTree(path));
  for (const fs::path& path : others) TUTTI_RETURN_IF_ERROR(RemoveTree(path));
  return {};
}

std::optional<std::uint64_t> BestStepOf(const fs::path& manifest) {
  const auto read = ReadManifest(manifest);
  if (!read) return std::nullopt;
  const json::json_pointer where("/cursor/best_step");
  if (!read->contains(where) || !(*read)[where].is_number_integer()) return std::nullopt;
  const auto step = (*read)[where].get<std::int64_t>();
  return step > 0 ? std::optional<std::uint64_t>(step) : std::nullopt;
}

}  // namespace

Result<wire::CheckpointCommitted> HandOver(const enginelink::Checkpoint& checkpoint,
                                           const std::string& job, const RemoteBlobs* remote,
                                           std::stop_token stop) {
  wire::CheckpointCommitted told;
  told.set_step(checkpoint.step);
  told.set_path(checkpoint.path);
  told.set_state_digest(checkpoint.state_digest);
  told.set_size_bytes(checkpoint.size_bytes);
  told.set_write_seconds(checkpoint.write_seconds);
  told.set_best_step(checkpoint.best_step);
  told.set_keep(checkpoint.keep);
  const fs::path data = checkpoint.path;
  const fs::path manifest = ManifestOf(data);
  const auto read = [&]() -> Status {
    TUTTI_ASSIGN_OR_RETURN(const json fields, ReadManifest(manifest));
    TUTTI_ASSIGN_OR_RETURN(const Digest of_manifest, Sha256OfFile(manifest));
    const auto text = fields.find("file_sha256");
    const auto digest = text != fields.end() && text->is_string()
                            ? Digest::Parse(text->get<std::string>())
                            : std::nullopt;
    if (!digest) return Fail(ErrorCode::kInvalid, "not a manifest", manifest.string());
    std::error_code error;
    const std::uintmax_t size = fs::file_size(manifest, error);
    if (error) return Fail(ErrnoError("cannot read", manifest.string(), error.value()));
    told.set_data_digest(digest->ToString());
    told.set_manifest_digest(of_manifest.ToString());
    told.set_manifest_size_bytes(size);
    return {};
  }();
  if (remote == nullptr) {
    // It is where it belongs; without digests it only cannot be sent to other machines.
    if (!read) Log(kWarning, "manifest_unread", {{"error", read.error().ToString()}});
    return told;
  }
  TUTTI_RETURN_IF_ERROR(read);
  TUTTI_RETURN_IF_ERROR(remote->Send(data, *Digest::Parse(told.data_digest()),
                                     TargetOf(job, data.filename().string()), stop));
  TUTTI_RETURN_IF_ERROR(remote->Send(manifest, *Digest::Parse(told.manifest_digest()),
                                     TargetOf(job, manifest.filename().string()), stop));
  told.set_uploaded(true);
  return told;
}

Result<std::vector<std::string>> FetchCheckpoints(const wire::LaunchGang& launch,
                                                  const fs::path& folder, const RemoteBlobs& remote,
                                                  std::stop_token stop) {
  utimensat(AT_FDCWD, folder.c_str(), nullptr, 0);  // in use: not to be pruned
  TUTTI_RETURN_IF_ERROR(RemoveUnlisted(folder, launch));
  std::vector<std::string> missing;
  const auto ensure = [&](const wire::CheckpointRef& ref) -> Result<Wanted> {
    TUTTI_ASSIGN_OR_RETURN(Wanted wanted, ReadRef(ref));
    TUTTI_RETURN_IF_ERROR(EnsureBoth(launch.job(), wanted, folder, remote, stop));
    return wanted;
  };
  std::optional<Wanted> newest;
  for (const wire::CheckpointRef& ref : launch.checkpoints()) {
    auto wanted = ensure(ref);
    if (wanted) {
      newest = std::move(*wanted);
      break;
    }
    if (!IsGoneOrDamaged(wanted.error())) return Fail(std::move(wanted).error());
    missing.push_back("the checkpoint of step " + std::to_string(ref.step()) +
                      " cannot be had: " + wanted.error().ToString());
  }
  if (!newest || launch.first_rank() != 0) return missing;
  const auto best = BestStepOf(folder / newest->manifest.name);
  for (const wire::CheckpointRef& ref : launch.checkpoints()) {
    if (!best || ref.step() != *best || *best == newest->step) continue;
    const auto wanted = ensure(ref);
    if (!wanted && !IsGoneOrDamaged(wanted.error())) return Fail(wanted.error());
    if (!wanted) {
      missing.push_back("the checkpoint with the best weights, of step " + std::to_string(*best) +
                        ", cannot be had: " + wanted.error().ToString());
    }
  }
  return missing;
}

void PruneJobFolders(const fs::path& jobs_dir, const std::vector<std::string>& running) {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator entry(jobs_dir, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!JobId::Parse(name) || std::ranges::find(running, name) != running.end()) continue;
    std::error_code ignored;
    const auto changed = fs::last_write_time(entry->path() / "checkpoints", ignored);
    if (ignored || now - changed < kKeptUnused) continue;
    // Renamed first: a launch that comes now finds all of it or nothing.
    const fs::path going = jobs_dir / ("going-" + name);
    fs::rename(entry->path(), going, ignored);
    if (ignored) continue;
    Log(kInfo, "job_folder_removed", {{"path", entry->path().string()}});
    if (const Status removed = RemoveTree(going); !removed) {
      Log(kError, "folder_left", {{"error", removed.error().ToString()}});
    }
  }
}

std::string FolderIdOf(const fs::path& jobs_dir) {
  auto text = ReadFile(jobs_dir / "folder.id", Bytes{4096});
  if (!text) return "";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

}  // namespace tutti::agent
