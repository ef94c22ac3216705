// What the files beside a model's tokenizer.json say about its tokens, as Transformers reads them:
// tokenizer_config.json and, where that has no added_tokens_decoder, the older
// special_tokens_map.json and added_tokens.json. Values; any thread.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/base/units.h"

namespace tutti::text {

// The bytes of a file; nullopt where there is none. Errors: ReadFile's others.
Result<std::optional<std::string>> ReadFileIfThere(const std::filesystem::path& path, Bytes max);

// The JSON object of a file of at most 16 MiB; null where there is no such file. Errors: kInvalid.
Result<nlohmann::ordered_json> ReadTokenFile(const std::filesystem::path& path);

struct TokenFiles {
  nlohmann::ordered_json config = nullptr;  // tokenizer_config.json's; null: there is none
  // The special tokens they name, such as bos_token: a text, or null where they say that there is
  // none.
  nlohmann::ordered_json special = nlohmann::ordered_json::object();
  // Tokens they add to tokenizer.json's, as tutti_tokenizer_add takes them. (What add_bos_token and
  // add_eos_token say is tokenizer.json's post-processor's to say.)
  nlohmann::ordered_json added = nlohmann::ordered_json::object();
};

// Errors: kInvalid, for a file or an added token that cannot be read.
Result<TokenFiles> ReadTokenFiles(const std::filesystem::path& model_directory);

}  // namespace tutti::text
