#include "common/json/parse.h"

#include <algorithm>

namespace tutti {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownMax = 30;  // bytes of what is wrong

// Takes everything, up to where it is no JSON.
class Checker : public nlohmann::json_sax<Json> {
 public:
  std::size_t position = 0;  // bytes read, the wrong one included

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*written*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*size*/) override { return true; }
  bool key(string_t& /*name*/) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t /*size*/) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t at, const std::string& /*token*/,
                   const Json::exception& /*error*/) override {
    position = at;
    return false;
  }
};

bool IsOfWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '+' || c == '.';
}

Error Described(std::string_view text, std::size_t position, const std::string& where) {
  const std::size_t end = std::min(position, text.size());
  // The parser stops within a word.
  std::size_t from = end, to = end;
  while (from > 0 && IsOfWord(text[from - 1])) --from;
  while (to < text.size() && IsOfWord(text[to])) ++to;
  std::string word(text.substr(from, std::min(to - from, kShownMax)));
  const auto line =
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(from), '\n');
  Error error{ErrorCode::kInvalid, "is not valid JSON at line " + std::to_string(line + 1), where};
  if (word == "NaN" || word.ends_with("Infinity")) {
    error.message += ": it has no " + word;
    error.hint = "Python writes it, JSON does not know it: write a number, or null";
  } else if (!word.empty() && (word[0] == '-' || (word[0] >= '0' && word[0] <= '9'))) {
    error.message += ": " + word + " is no number, or one that is too large";
  } else if (!word.empty()) {
    error.message += ": near " + word;
  } else if (end >= text.size()) {
    error.message += ": it ends there";
  }
  return error;
}

}  // namespace

std::optional<std::size_t> FindNoJson(std::string_view text) {
  Checker checker;
  if (Json::sax_parse(text, &checker)) return std::nullopt;
  return checker.position;
}

Result<Json> ParseJson(std::string_view text, const std::string& where, const JsonLimits& limits) {
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(text, limits, where));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_discarded()) return json;
  return Fail(Described(text, FindNoJson(text).value_or(0), where));
}

}  // namespace tutti
