#include "worker/agent/gang_export.h"

#include <algorithm>

#include "common/digest/sha256.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

bool IsShard(std::string_view path) {
  return path.starts_with("model-") && path.ends_with(".safetensors");
}

}  // namespace

Result<std::string> ModelDigest(const wire::Model& model) {
  for (const char* whole : {"model.safetensors", "adapter_model.safetensors"}) {
    for (const wire::File& file : model.files()) {
      if (file.path() == whole) return file.digest();
    }
  }
  std::vector<std::pair<std::string, std::string>> shards;
  for (const wire::File& file : model.files()) {
    if (IsShard(file.path())) shards.emplace_back(file.path(), file.digest());
  }
  if (shards.empty()) {
    return Fail(ErrorCode::kInvalid, "the export has no weights", "model.safetensors");
  }
  std::sort(shards.begin(), shards.end());
  Sha256 sha;
  for (const auto& [path, digest] : shards) sha.Update(digest);
  return sha.Finish().ToString();
}

Result<wire::Model> UploadModel(const fs::path& folder, const std::vector<std::string>& files,
                                const RemoteBlobs& remote, std::stop_token stop) {
  std::vector<std::string> sorted = files;
  std::sort(sorted.begin(), sorted.end());
  wire::Model model;
  for (const std::string& name : sorted) {
    TUTTI_ASSIGN_OR_RETURN(const fs::path path, JoinBeneath(folder, name));
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);
    if (error) return Fail(ErrnoError("cannot read", path.string(), error.value()));
    TUTTI_ASSIGN_OR_RETURN(const Digest digest, Sha256OfFile(path));
    TUTTI_RETURN_IF_ERROR(remote.Store(path, digest, stop));
    wire::File& file = *model.add_files();
    file.set_path(name);
    file.set_digest(digest.ToString());
    file.set_size_bytes(size);
  }
  TUTTI_ASSIGN_OR_RETURN(*model.mutable_digest(), ModelDigest(model));
  return model;
}

}  // namespace tutti::agent
