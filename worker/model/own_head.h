// Whether a checkpoint's output layer is the embedding, as its configuration may say, or stored
// beside it with other values. Free functions; any thread.
#pragma once

#include <filesystem>

#include "worker/model/config.h"

namespace tutti::model {

// Where `config` ties the two and the weights in `directory` hold an output layer that differs from
// the embedding, the configuration's text says from here on that they are not tied: Transformers 5
// keeps both then, and trains both. Weights that cannot be read change nothing; loading them says
// why. Reads both tensors where both are there.
void KeepOwnHead(const std::filesystem::path& directory, ModelConfig& config);

}  // namespace tutti::model
