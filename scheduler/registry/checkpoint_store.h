// CheckpointStore: the checkpoints of jobs below <data>/jobs/JOB/checkpoints/, where engines of
// this machine write them themselves and other machines' come to over HTTP (docs/formats/
// checkpoint.md). A checkpoint exists when its manifest does, so the data comes first.
//
// Thread-safe: the file system is the only state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/units.h"
#include "common/file/file.h"

namespace tutti::registry {

namespace fs = std::filesystem;

// "step-00000200.a1.h5" (data) and "step-00000200.a1.json" (its manifest).
struct CheckpointName {
  std::uint64_t step = 0;
  Attempt attempt{};
  bool manifest = false;

  std::string ToString() const;
  // Reads what ToString writes; nullopt for anything else.
  static std::optional<CheckpointName> Parse(std::string_view text);
};

class CheckpointStore {
 public:
  // Makes the folder, and folder.id in it: 32 random hex digits that tell a worker whether its own
  // --jobs-dir is this folder.
  static Result<CheckpointStore> Open(const fs::path& jobs_dir);

  const std::string& folder_id() const { return folder_id_; }
  fs::path PathOf(JobId job, const CheckpointName& name) const;

  // kNotFound.
  Result<Bytes> Size(JobId job, const CheckpointName& name) const;
  Result<UniqueFd> OpenFile(JobId job, const CheckpointName& name) const;  // for reading

  // Makes an upload (on the same file system) durable. The slow part of putting it into place.
  static Status Sync(const fs::path& upload);
  // Moves it there, replacing what is there. kNotFound when a manifest comes before its data.
  Status Place(const fs::path& upload, JobId job, const CheckpointName& name) const;

  // Removes what the steps `kept` do not need: files of attempts before `newest`'s, and of its
  // attempt before its step, unless a kept one is of that step and attempt. Manifests first.
  Status Collect(JobId job, const CheckpointName& newest,
                 const std::set<std::pair<std::uint64_t, Attempt>>& kept) const;

 private:
  CheckpointStore(fs::path jobs_dir, std::string folder_id)
      : jobs_dir_(std::move(jobs_dir)), folder_id_(std::move(folder_id)) {}
  fs::path FolderOf(JobId job) const { return jobs_dir_ / job.ToString() / "checkpoints"; }

  fs::path jobs_dir_;
  std::string folder_id_;
};

}  // namespace tutti::registry
