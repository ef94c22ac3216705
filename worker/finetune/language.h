// The rows of a language model: their format, and how conversations are written. Free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "jobs/spec/spec.h"
#include "worker/data/dataset.h"
#include "worker/model/config.h"
#include "worker/text/chat_format.h"
#include "worker/text/tokenizer.h"

namespace tutti::finetune {

// The format of a language model's rows: as the spec has it, or by the file's columns.
Result<data::RowFormat> LanguageFormat(spec::DataFormat wanted, const data::LoadOptions& options);

// A model's file that says how it wants to be asked: {"prompts": "chat" or "text"}. What a job
// leaves beside the weights; a model of others has none.
inline constexpr const char* kPromptsFile = "tutti.json";
std::string PromptsText(bool chat);
// Whether a model was tuned on conversations; nullopt: it does not say.
std::optional<bool> AskedByChat(const std::filesystem::path& model_dir);

// The tokens that end an answer: the tokenizer's, what generation_config.json names, or else
// config.json, and in a chat those that end a turn of the known templates. Ascending. kInvalid,
// with the file: a generation_config.json that is no JSON object, an eos_token_id that is no
// token's.
Result<std::vector<std::int64_t>> EndTokens(const std::filesystem::path& model_dir,
                                            const text::Tokenizer& tokenizer,
                                            const model::ModelConfig& config, bool chat);

}  // namespace tutti::finetune
