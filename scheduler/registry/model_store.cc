#include "scheduler/registry/model_store.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <set>
#include <system_error>

namespace tutti::registry {
namespace {

constexpr std::string_view kModelPrefix = "ft:";

// The part of a base model's name that goes into ids: of "org/name@main" "name", of a fine-tuned
// model's id its own base.
std::string ShortBase(std::string_view base) {
  if (base.starts_with(kModelPrefix)) {
    base.remove_prefix(kModelPrefix.size());
    base = base.substr(0, base.find(':'));
  }
  while (base.ends_with('/')) base.remove_suffix(1);
  if (const std::size_t slash = base.rfind('/'); slash != std::string_view::npos) {
    base.remove_prefix(slash + 1);
  }
  base = base.substr(0, base.find('@'));
  std::string out(base);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) == 0 && c != '.' && c != '_' && c != '-') c = '-';
  }
  const bool says_something = out.find_first_not_of('.') != std::string::npos;
  return says_something ? out : "model";
}

Status FillFolder(const fs::path& folder, const ModelRecord& record, const BlobStore& blobs) {
  std::set<fs::path> folders = {folder};
  TUTTI_RETURN_IF_ERROR(MakeDirectories(folder));
  for (const ModelFile& file : record.files) {
    TUTTI_ASSIGN_OR_RETURN(const fs::path path, JoinBeneath(folder, file.path));
    if (!blobs.Has(file.digest)) {
      return Fail(ErrorCode::kNotFound,
                  "the blob of the model's file '" + file.path + "' is missing",
                  file.digest.ToString());
    }
    std::error_code ignored;
    if (fs::exists(path, ignored)) {
      return Fail(ErrorCode::kInvalid, "the model has two files of one name", file.path);
    }
    TUTTI_RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
    TUTTI_RETURN_IF_ERROR(LinkOrCopy(blobs.PathOf(file.digest), path));
    for (fs::path parent = path.parent_path(); folders.insert(parent).second;) {
      parent = parent.parent_path();
    }
  }
  for (const fs::path& each : folders) TUTTI_RETURN_IF_ERROR(SyncDirectory(each));
  return {};
}

}  // namespace

std::string ModelId(std::string_view base_model, std::string_view job_name, JobId job) {
  const std::string id = job.ToString();
  return std::string(kModelPrefix) + ShortBase(base_model) + ":local:" + std::string(job_name) +
         ":" + id.substr(JobTag::kPrefix.size());
}

Result<const ModelRecord*> FindModel(const std::vector<ModelRecord>& records,
                                     std::string_view model) {
  const ModelRecord* named = nullptr;
  const ModelRecord* prefixed = nullptr;
  int prefixes = 0;
  for (const ModelRecord& record : records) {
    const std::string job = record.job.ToString();
    if (record.id == model || job == model) return &record;
    if (record.job_name == model && (named == nullptr || record.created_at >= named->created_at)) {
      named = &record;
    }
    if (model.size() > JobTag::kPrefix.size() && job.starts_with(model)) {
      prefixed = &record;
      ++prefixes;
    }
  }
  if (named != nullptr) return named;
  if (prefixes == 1) return prefixed;
  if (prefixes > 1) {
    return Fail(ErrorCode::kInvalid, "several jobs with a model begin like this",
                std::string(model), "give more characters");
  }
  return Fail(ErrorCode::kNotFound, "there is no such model", std::string(model),
              "'tutti model list' shows those there are");
}

Result<ModelStore> ModelStore::Open(fs::path models_dir, const BlobStore& blobs) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(models_dir));
  std::error_code error;
  std::vector<fs::path> half_made;
  for (fs::directory_iterator entry(models_dir, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with(".tmp-")) half_made.push_back(entry->path());
  }
  if (error) return Fail(ErrnoError("cannot read the folder", models_dir.string(), error.value()));
  for (const fs::path& path : half_made) TUTTI_RETURN_IF_ERROR(RemoveTree(path));
  return ModelStore(std::move(models_dir), blobs);
}

fs::path ModelStore::DirectoryOf(JobId job) const { return directory_ / job.ToString(); }

Result<fs::path> ModelStore::Assemble(const ModelRecord& record) const {
  fs::path directory = DirectoryOf(record.job);
  std::error_code ignored;
  if (fs::is_directory(directory, ignored)) return directory;
  const fs::path temporary = TemporaryName(directory_);
  if (Status filled = FillFolder(temporary, record, *blobs_); !filled) {
    static_cast<void>(RemoveTree(temporary));
    return Fail(std::move(filled).error());
  }
  if (::rename(temporary.c_str(), directory.c_str()) != 0) {
    const int error_number = errno;
    static_cast<void>(RemoveTree(temporary));
    // Somebody else was as fast, with the same files.
    if (error_number == EEXIST || error_number == ENOTEMPTY) return directory;
    return Fail(ErrnoError("cannot rename into place", directory.string(), error_number));
  }
  TUTTI_RETURN_IF_ERROR(SyncDirectory(directory_));
  return directory;
}

Status ModelStore::Remove(JobId job) const {
  // Renamed first, so that nobody sees a model with some of its files.
  const fs::path going = TemporaryName(directory_);
  const fs::path directory = DirectoryOf(job);
  if (::rename(directory.c_str(), going.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return Fail(ErrnoError("cannot remove the model", directory.string(), errno));
  }
  TUTTI_RETURN_IF_ERROR(SyncDirectory(directory_));
  return RemoveTree(going);
}

}  // namespace tutti::registry
