// ModelStore: finished models as folders below <data dir>/models/<job id>/, made of hard links to
// blobs. What models there are is in the ledger alone: records come in as arguments. Thread-safe.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "scheduler/registry/blob_store.h"

namespace tutti::registry {

struct ModelFile {
  std::string path = {};  // inside the model, with '/'
  Digest digest = {};
  Bytes size = {};
};

struct ModelRecord {
  std::string id = {};  // "ft:bert-tiny:local:sections:0k3v9x2m"
  JobId job = {};
  std::string job_name = {};
  std::string task = {};  // "text-classification"
  std::string base = {};  // the base model as the spec names it
  Digest digest = {};     // of model.safetensors (SPEC.md, Fixed names)
  WallTime created_at = {};
  std::vector<ModelFile> files = {};
  std::string metrics_json = "{}";  // an object
};

// "ft:{base}:local:{name}:{8}": base = the last part of `base_model`, 8 = the job id's characters.
std::string ModelId(std::string_view base_model, std::string_view job_name, JobId job);

// By ft: name, job id (or unique prefix of it), or job name (the newest by created_at). kNotFound;
// kInvalid when a prefix fits several. The result points into `records`.
Result<const ModelRecord*> FindModel(const std::vector<ModelRecord>& records,
                                     std::string_view model);

class ModelStore {
 public:
  // `models_dir` is made when missing; half-made folders of an earlier process are removed.
  static Result<ModelStore> Open(fs::path models_dir, const BlobStore& blobs);

  fs::path DirectoryOf(JobId job) const;
  // Makes the model's folder: a temporary one, then a rename. A folder that is there stays (models
  // never change). kNotFound when a blob is missing; kInvalid for paths that leave the folder.
  Result<fs::path> Assemble(const ModelRecord& record) const;
  Status Remove(JobId job) const;
  const BlobStore& blobs() const { return *blobs_; }

 private:
  ModelStore(fs::path directory, const BlobStore& blobs)
      : directory_(std::move(directory)), blobs_(&blobs) {}

  fs::path directory_;
  const BlobStore* blobs_;  // outlives this
};

}  // namespace tutti::registry
