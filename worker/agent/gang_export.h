// The end of a gang that succeeded: its exported files hashed and given to the coordinator as
// blobs. Free functions for threads off the loop.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/wire/messages.pb.h"
#include "worker/agent/remote_blobs.h"

namespace tutti::agent {

// `files` are relative to `folder`, as the engine named them. The model's digest is SPEC.md's.
Result<wire::Model> UploadModel(const std::filesystem::path& folder,
                                const std::vector<std::string>& files, const RemoteBlobs& remote,
                                std::stop_token stop);

// Of model.safetensors, else of adapter_model.safetensors, else of the digests of the shards
// (model-00001-of-00002.safetensors …) in order. kInvalid when there is none of them.
Result<std::string> ModelDigest(const wire::Model& model);

}  // namespace tutti::agent
