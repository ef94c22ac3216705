// Tokenizers as tokenizer.json describes them (Hugging Face's tokenizers library behind
// worker/text/bridge), with the special tokens that tokenizer_config.json and config.json name.
// A Tokenizer is owned by who loads it; calls from several threads are safe; it survives fork().
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/digest/sha256.h"
#include "worker/text/byte_range.h"

struct tutti_tokenizer;

namespace tutti::text {

// Which sequence gives up tokens when text and pair are longer than max_length.
enum class Truncation { kLongestFirst, kOnlyFirst, kOnlySecond };

struct EncodeOptions {
  bool add_special_tokens = true;
  std::optional<std::size_t> max_length{};  // special tokens count; none: not truncated
  Truncation truncation = Truncation::kLongestFirst;
  std::optional<std::string_view> pair{};
  bool offsets = false;  // of a text without a pair
};

struct Encoding {
  std::vector<std::uint32_t> ids;
  std::vector<std::uint32_t> type_ids;  // as many: 0 for the text, 1 for the pair (BERT)
  // Where in the text each token stands, as Transformers' offset_mapping says it, in bytes: whole
  // characters, so tokens that share one overlap. {0, 0} of special tokens that were added. Empty
  // unless asked for.
  std::vector<ByteRange> offsets{};
};

// What a model's files say about its special tokens: absent when they name none.
struct SpecialTokens {
  std::optional<std::uint32_t> pad, unk, bos, eos, cls, sep, mask;
};

class Tokenizer {
 public:
  // `path`: a model's directory, or a tokenizer.json. In a directory the files beside it add tokens
  // (token_files.h), and those without a name get theirs from config.json (pad_token_id, …).
  // Errors: kNotFound without tokenizer.json, kTooLarge above 64 MiB, kInvalid for what the
  // library refuses.
  static Result<Tokenizer> Load(const std::filesystem::path& path);
  // From the text of a tokenizer.json; `where` names it in errors.
  static Result<Tokenizer> FromJson(std::string_view json, std::string where);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // `text` is UTF-8 of at most 64 MiB. Errors: kInvalid, also where a sequence is too short to
  // truncate to max_length.
  Result<Encoding> Encode(std::string_view text, const EncodeOptions& options = {}) const;
  // Ids that are not in the vocabulary are left out.
  Result<std::string> Decode(std::span<const std::uint32_t> ids, bool skip_special) const;

  // Number of tokens, added ones included.
  std::size_t VocabSize() const;
  std::optional<std::uint32_t> IdOf(std::string_view token) const;
  const SpecialTokens& special() const { return special_; }
  // Of its tokenizer.json, and of the tokens that files beside it add: equal digests tokenize
  // alike.
  const Digest& digest() const { return digest_; }
  // model_max_length of tokenizer_config.json, when it is a real limit (Transformers writes 1e30
  // for none).
  std::optional<std::size_t> model_max_length() const { return model_max_length_; }

 private:
  struct Free {
    void operator()(tutti_tokenizer* tokenizer) const;
  };
  Tokenizer(tutti_tokenizer* tokenizer, const Digest& digest);
  Status ReadConfiguration(const std::filesystem::path& directory);
  Status Add(const std::string& tokens, const std::string& where);

  std::unique_ptr<tutti_tokenizer, Free> tokenizer_;
  Digest digest_;
  SpecialTokens special_;
  std::optional<std::size_t> model_max_length_;
};

}  // namespace tutti::text
