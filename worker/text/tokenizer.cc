#include "worker/text/tokenizer.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/units.h"
#include "common/file/file.h"
#include "common/json/limits.h"
#include "common/json/parse.h"
#include "worker/text/bridge/bridge.h"
#include "worker/text/bridge_buffers.h"
#include "worker/text/growth.h"
#include "worker/text/token_files.h"

namespace tutti::text {
namespace {

constexpr Bytes kFileMax{64 << 20};
constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;
// Deeper than any tokenizer (a sequence in a sequence of normalizers); refused before the library
// recurses.
constexpr JsonLimits kTokenizerLimits{.depth_max = 64, .values_max = 8'000'000};

// Of config.json: names of 65,536 labels, twice, and more.
constexpr Bytes kModelConfigMax{16 << 20};
constexpr JsonLimits kModelConfigLimits{.values_max = 500'000};

// {} where there is no such file.
Result<nlohmann::json> ReadModelConfig(const std::filesystem::path& path) {
  TUTTI_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                         ReadFileIfThere(path, kModelConfigMax));
  if (!text) return nlohmann::json::object();
  TUTTI_ASSIGN_OR_RETURN(nlohmann::json json, ParseJson(*text, path.string(), kModelConfigLimits));
  if (!json.is_object()) return Fail(ErrorCode::kInvalid, "not a JSON object", path.string());
  return json;
}

std::optional<std::uint32_t> IdIn(const nlohmann::json& config, const std::string& key) {
  const auto it = config.find(key);
  if (it == config.end() || !it->is_number_integer()) return std::nullopt;
  const auto id = it->get<std::int64_t>();
  if (id < 0 || id > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(id);
}

}  // namespace

void Tokenizer::Free::operator()(tutti_tokenizer* tokenizer) const {
  tutti_tokenizer_free(tokenizer);
}

Tokenizer::Tokenizer(tutti_tokenizer* tokenizer, const Digest& digest)
    : tokenizer_(tokenizer), digest_(digest) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::FromJson(std::string_view json, std::string where) {
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(json, kTokenizerLimits, where));
  TUTTI_RETURN_IF_ERROR(CheckGrowth(json, where));
  tutti_tokenizer* tokenizer = nullptr;
  BridgeBuffer error;
  const int code = tutti_tokenizer_load(BytesOf(json), json.size(), &tokenizer, error.get());
  if (code != TUTTI_TEXT_OK) {
    return Fail(BridgeError(code, "not a tokenizer: ", error, std::move(where)));
  }
  return Tokenizer(tokenizer, Sha256Of(json));
}

Result<Tokenizer> Tokenizer::Load(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool directory = std::filesystem::is_directory(path, ignored);
  const std::filesystem::path file = directory ? path / "tokenizer.json" : path;
  TUTTI_ASSIGN_OR_RETURN(const std::string json, ReadFile(file, kFileMax));
  TUTTI_ASSIGN_OR_RETURN(Tokenizer tokenizer, FromJson(json, file.string()));
  if (directory) TUTTI_RETURN_IF_ERROR(tokenizer.ReadConfiguration(path));
  return tokenizer;
}

Status Tokenizer::ReadConfiguration(const std::filesystem::path& directory) {
  TUTTI_ASSIGN_OR_RETURN(const TokenFiles files, ReadTokenFiles(directory));
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json model, ReadModelConfig(directory / "config.json"));
  if (!files.added.empty()) {
    TUTTI_RETURN_IF_ERROR(Add(files.added.dump(), directory.string()));
  }
  const auto find = [&](const std::string& name) -> std::optional<std::uint32_t> {
    const auto token = files.special.find(name + "_token");
    if (token != files.special.end() && token->is_string()) {
      if (const auto id = IdOf(token->get_ref<const std::string&>())) return id;
    }
    return IdIn(model, name + "_token_id");
  };
  special_ = {.pad = find("pad"),
              .unk = find("unk"),
              .bos = find("bos"),
              .eos = find("eos"),
              .cls = find("cls"),
              .sep = find("sep"),
              .mask = find("mask")};
  if (!files.config.is_object()) return {};
  const auto it = files.config.find("model_max_length");
  if (it != files.config.end() && it->is_number()) {
    const double length = it->get<double>();
    if (length >= 1 && length < 1e9) model_max_length_ = static_cast<std::size_t>(length);
  }
  return {};
}

Status Tokenizer::Add(const std::string& tokens, const std::string& where) {
  BridgeBuffer error;
  const int code =
      tutti_tokenizer_add(tokenizer_.get(), BytesOf(tokens), tokens.size(), error.get());
  if (code != TUTTI_TEXT_OK) {
    return Fail(BridgeError(code, "tokens beside tokenizer.json: ", error, where));
  }
  digest_ = Sha256Of(digest_.ToString() + tokens);
  return {};
}

Result<Encoding> Tokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kTextBytesMax || (options.pair && options.pair->size() > kTextBytesMax)) {
    return Fail(ErrorCode::kTooLarge, "a text above 64 MiB cannot be tokenized");
  }
  if (options.max_length == std::size_t{0}) {
    return Fail(ErrorCode::kInvalid, "max_length must be at least 1");
  }
  tutti_encode_request request{};
  request.text = BytesOf(text);
  request.text_size = text.size();
  if (options.pair) {
    // A pair that is empty is a pair: its pointer must not be null.
    request.pair = options.pair->data() ? BytesOf(*options.pair) : BytesOf("");
    request.pair_size = options.pair->size();
  }
  request.max_length = options.max_length.value_or(0);
  request.truncation = static_cast<std::int32_t>(options.truncation);
  request.add_special_tokens = options.add_special_tokens ? 1 : 0;
  request.offsets = options.offsets ? 1 : 0;
  BridgeIds ids;
  BridgeBuffer error;
  const int code = tutti_tokenizer_encode(tokenizer_.get(), &request, ids.get(), error.get());
  if (code != TUTTI_TEXT_OK) return Fail(BridgeError(code, "cannot tokenize: ", error, {}));
  return Encoding{.ids = ids.Ids(), .type_ids = ids.TypeIds(), .offsets = ids.Offsets()};
}

Result<std::string> Tokenizer::Decode(std::span<const std::uint32_t> ids, bool skip_special) const {
  BridgeBuffer text;
  BridgeBuffer error;
  const int code = tutti_tokenizer_decode(tokenizer_.get(), ids.data(), ids.size(),
                                          skip_special ? 1 : 0, text.get(), error.get());
  if (code != TUTTI_TEXT_OK) return Fail(BridgeError(code, "cannot decode: ", error, {}));
  return text.Text();
}

std::size_t Tokenizer::VocabSize() const { return tutti_tokenizer_vocab_size(tokenizer_.get()); }

std::optional<std::uint32_t> Tokenizer::IdOf(std::string_view token) const {
  const std::int64_t id =
      tutti_tokenizer_token_to_id(tokenizer_.get(), BytesOf(token), token.size());
  if (id < 0) return std::nullopt;
  return static_cast<std::uint32_t>(id);
}

}  // namespace tutti::text
