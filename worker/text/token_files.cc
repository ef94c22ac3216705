#include "worker/text/token_files.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "common/file/file.h"
#include "common/json/limits.h"

namespace tutti::text {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr Bytes kTokenFileMax{16 << 20};
// The longest list of added tokens known has 6,400.
constexpr JsonLimits kTokenFileLimits{.values_max = 500'000, .members_max = 20'000};
constexpr std::array<const char*, 7> kTokenNames = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

const OrderedJson* FindKey(const OrderedJson& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

bool IsTrue(const OrderedJson& object, std::string_view key) {
  const OrderedJson* value = FindKey(object, key);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

// A token is a text or {"content": text, …}; null: it is neither.
const OrderedJson* ContentOf(const OrderedJson& token) {
  const OrderedJson* content = token.is_object() ? FindKey(token, "content") : &token;
  return content != nullptr && content->is_string() ? content : nullptr;
}

// What tutti_tokenizer_add takes: the fields that the file gives.
OrderedJson Added(const OrderedJson& token, const OrderedJson& content, bool special) {
  OrderedJson added = {{"content", content}, {"special", special}};
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) {
    const OrderedJson* given = FindKey(token, flag);
    if (given != nullptr && given->is_boolean()) added[flag] = *given;
  }
  return added;
}

using TokensById = std::map<std::int64_t, OrderedJson>;  // by id: in this order they are added

Result<TokensById> ListedTokens(const OrderedJson& decoder, const std::string& where) {
  if (!decoder.is_object()) {
    return Fail(ErrorCode::kInvalid, "added_tokens_decoder is not an object of ids", where);
  }
  TokensById tokens;
  for (const auto& [key, token] : decoder.items()) {
    std::int64_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    const OrderedJson* content = token.is_object() ? ContentOf(token) : nullptr;
    if (error != std::errc() || end != key.data() + key.size() || content == nullptr) {
      return Fail(ErrorCode::kInvalid,
                  "added_tokens_decoder." + key + " is no token: an id with an object of 'content'",
                  where);
    }
    tokens[id] = Added(token, *content, IsTrue(token, "special"));
  }
  return tokens;
}

// added_tokens.json: {text: id}. A token of tokenizer.json with that id wins.
Result<TokensById> OlderTokens(const OrderedJson& added, const std::set<std::string>& special,
                               const std::string& where) {
  TokensById tokens;
  if (!added.is_object()) return tokens;
  for (const auto& [text, id] : added.items()) {
    if (!id.is_number_integer()) {
      return Fail(ErrorCode::kInvalid, "the id of '" + text + "' is no whole number", where);
    }
    const bool is_special = special.contains(text);
    OrderedJson token = Added({}, text, is_special);
    token["normalized"] = !is_special;
    token["id"] = id;
    tokens[id.get<std::int64_t>()] = std::move(token);
  }
  return tokens;
}

// Names of special tokens and the tokens, those that every model may have first: so they are added.
OrderedJson NamedTokens(const OrderedJson& config, const OrderedJson& map) {
  OrderedJson given = OrderedJson::object();
  const auto take = [&given](const OrderedJson& file) {
    if (!file.is_object()) return;
    for (const auto& [key, value] : file.items()) {
      if (!key.ends_with("_token")) continue;
      if (value.is_null() || ContentOf(value) != nullptr) given[key] = value;
    }
  };
  take(config);
  if (const OrderedJson* more = FindKey(config, "extra_special_tokens");
      more && more->is_object()) {
    for (const auto& [key, value] : more->items()) {
      if (ContentOf(value) != nullptr) given[key] = value;
    }
  }
  take(map);
  OrderedJson named = OrderedJson::object();
  for (const char* name : kTokenNames) {
    if (const OrderedJson* token = FindKey(given, name)) named[name] = *token;
  }
  for (const auto& [key, value] : given.items()) {
    if (!named.contains(key)) named[key] = value;
  }
  return named;
}

// Further special tokens: the newer name wins, and tokenizer_config.json.
const OrderedJson* ExtraList(const OrderedJson& config, const OrderedJson& map) {
  for (const OrderedJson* file : {&config, &map}) {
    for (const char* key : {"extra_special_tokens", "additional_special_tokens"}) {
      const OrderedJson* list = FindKey(*file, key);
      const bool last = file == &map || key == std::string_view("additional_special_tokens");
      if (list != nullptr && list->is_array() && (last || !list->empty())) return list;
    }
  }
  return nullptr;
}

}  // namespace

Result<std::optional<std::string>> ReadFileIfThere(const std::filesystem::path& path, Bytes max) {
  Result<std::string> text = ReadFile(path, max);
  if (text.has_value()) return std::optional(*std::move(text));
  if (text.error().code == ErrorCode::kNotFound) return std::nullopt;
  return Fail(text.error());
}

Result<OrderedJson> ReadTokenFile(const std::filesystem::path& path) {
  TUTTI_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                         ReadFileIfThere(path, kTokenFileMax));
  if (!text) return OrderedJson();
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(*text, kTokenFileLimits, path.string()));
  OrderedJson object = OrderedJson::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Fail(ErrorCode::kInvalid, "not a JSON object", path.string());
  return object;
}

Result<TokenFiles> ReadTokenFiles(const std::filesystem::path& model_directory) {
  TokenFiles files;
  const std::filesystem::path config_path = model_directory / "tokenizer_config.json";
  TUTTI_ASSIGN_OR_RETURN(files.config, ReadTokenFile(config_path));
  const OrderedJson* decoder = FindKey(files.config, "added_tokens_decoder");
  OrderedJson map;
  if (decoder == nullptr) {
    TUTTI_ASSIGN_OR_RETURN(map, ReadTokenFile(model_directory / "special_tokens_map.json"));
  }
  const OrderedJson tokens = NamedTokens(files.config, map);
  OrderedJson named = OrderedJson::array();
  std::set<std::string> special;
  for (const auto& [name, token] : tokens.items()) {
    const OrderedJson* content = ContentOf(token);
    files.special[name] = content != nullptr ? *content : OrderedJson();
    if (content == nullptr) continue;
    named.push_back(Added(token, *content, /*special=*/true));
    // Transformers compares with what the files say before it has made tokens of these.
    if (!token.contains("__type")) special.insert(content->get<std::string>());
  }
  OrderedJson extra = OrderedJson::array();
  if (const OrderedJson* list = ExtraList(files.config, map)) {
    // To Transformers this older list of the older file makes no token of added_tokens.json
    // special.
    const bool older = list == FindKey(map, "additional_special_tokens");
    for (const OrderedJson& token : *list) {
      const OrderedJson* content = ContentOf(token);
      if (content == nullptr) continue;
      extra.push_back(Added(token, *content, /*special=*/true));
      if (!older) special.insert(content->get<std::string>());
    }
  }

  TokensById listed;
  if (decoder != nullptr) {
    TUTTI_ASSIGN_OR_RETURN(listed, ListedTokens(*decoder, config_path.string()));
  } else {
    const std::filesystem::path path = model_directory / "added_tokens.json";
    TUTTI_ASSIGN_OR_RETURN(const OrderedJson older, ReadTokenFile(path));
    TUTTI_ASSIGN_OR_RETURN(listed, OlderTokens(older, special, path.string()));
  }
  OrderedJson& added = files.added;
  for (auto& [id, token] : listed) added["listed"].push_back(std::move(token));
  if (!named.empty()) added["named"] = std::move(named);
  if (!extra.empty()) added["extra"] = std::move(extra);
  return files;
}

}  // namespace tutti::text
