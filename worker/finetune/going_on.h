// Jobs whose model is an adapter that they train further, as PEFT does with one that is loaded
// trainable: the base stays apart, the adapter's weights are what training starts from. Free
// functions; one thread.
#pragma once

#include <filesystem>

#include "common/base/result.h"
#include "jobs/spec/spec.h"
#include "worker/model/adapter.h"
#include "worker/model/model.h"

namespace tutti::finetune {

// Whether a job does: LoRA on an adapter, with no resume_from. DPO does not: its answers are
// compared with what it starts from, so a new adapter stands beside the two merged.
bool GoesOnWithAdapter(const spec::JobSpec& spec, const std::filesystem::path& model_dir);

// What the adapter in `directory` was made with, and the dropout of `wanted`. `base` is the model
// without an adapter. kInvalid names what differs from `wanted`, below method.lora, and what to
// write; or what is wrong with the adapter's files.
Result<model::LoraOptions> OptionsToGoOnWith(const std::filesystem::path& directory,
                                             const model::Model& base,
                                             const model::LoraOptions& wanted);

}  // namespace tutti::finetune
