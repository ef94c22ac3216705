#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/json/limits.h"
#include "common/json/parse.h"
#include "jobs/spec/suggest.h"
#include "worker/data/row_reader.h"

namespace tutti::data {
namespace {

using Json = nlohmann::json;

constexpr JsonLimits kObjectLimits{.depth_max = 64, .values_max = 100'000, .members_max = 4'096};
constexpr std::size_t kKeysMax = 256;
constexpr std::size_t kNumberShown = 40;  // characters, in errors

// Takes the wanted fields of one object, without building the rest.
class RowEvents : public Json::json_sax_t {
 public:
  RowEvents(const RowsRequest& request, Row& row)
      : format_(request.format), columns_(request.columns), row_(row) {}

  std::string problem;            // why a callback returned false
  std::vector<std::string> keys;  // of the object; at most kKeysMax
  bool has_text = false;

  bool start_object(std::size_t) override {
    ++depth_;
    return depth_ == 1 || Other("an object");
  }
  bool end_object() override { return Leave(); }
  bool start_array(std::size_t) override {
    if (depth_ == 0) return Refuse("not a JSON object");
    ++depth_;
    return Other("a list");
  }
  bool end_array() override { return Leave(); }

  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    const bool second = format_ != RowFormat::kText && name == columns_.label;
    field_ = name == columns_.text ? Field::kText : second ? Field::kLabel : Field::kOther;
    if ((field_ == Field::kText && has_text) || (field_ == Field::kLabel && row_.label)) {
      return Refuse("'" + name + "' twice");
    }
    if (keys.size() < kKeysMax) keys.push_back(std::move(name));
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ == 1 && field_ == Field::kText) {
      row_.text = std::move(value);
      has_text = true;
      return true;
    }
    if (depth_ == 1 && field_ == Field::kLabel) {
      row_.label = Label{.text = std::move(value), .integer = false};
      return true;
    }
    return Other("text");
  }
  bool number_integer(number_integer_t value) override { return Whole(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Whole(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override {
    return Other(text.size() <= kNumberShown ? text : text.substr(0, kNumberShown) + "…");
  }
  bool boolean(bool value) override { return Other(value ? "true" : "false"); }
  bool null() override { return Other("null"); }
  bool binary(binary_t&) override { return Other("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return Refuse("not JSON at character " + std::to_string(position));
  }

 private:
  enum class Field { kOther, kText, kLabel };

  bool Refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }
  bool Whole(std::string digits) {
    if (depth_ != 1 || field_ != Field::kLabel || format_ != RowFormat::kTextLabel) {
      return Other(digits);
    }
    row_.label = Label{.text = std::move(digits), .integer = true};
    return true;
  }
  // A value that is not taken: fine, unless it is a wanted field's.
  bool Other(const std::string& what) {
    if (depth_ == 0) return Refuse("not a JSON object");
    if (field_ == Field::kText) return Refuse("'" + columns_.text + "' is " + what + ", not text");
    if (field_ == Field::kLabel) {
      return Refuse(
          "'" + columns_.label + "' is " + what +
          (format_ == RowFormat::kTextLabel ? ", neither text nor a whole number" : ", not text"));
    }
    return true;
  }
  bool Leave() {
    --depth_;
    return true;
  }

  RowFormat format_;
  const Columns& columns_;
  Row& row_;
  int depth_ = 0;
  Field field_ = Field::kOther;
};

// Reads a line whole; what is wrong with it, or "". A key that an object has twice is: one of its
// values would be lost.
std::string ReadObject(const std::string& line, nlohmann::ordered_json& object) {
  if (auto excess = FindJsonExcess(line, kObjectLimits)) return std::move(excess->message);
  using Event = nlohmann::ordered_json::parse_event_t;
  std::vector<std::set<std::string>> keys;  // of each open object
  std::string twice;
  const auto note = [&](int /*depth*/, Event event, nlohmann::ordered_json& value) {
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event != Event::key || !twice.empty()) return true;
    const auto& name = value.get_ref<const std::string&>();
    if (!keys.back().insert(name).second) twice = spec::Quoted(name) + " twice";
    return true;
  };
  object = nlohmann::ordered_json::parse(line, note, /*allow_exceptions=*/false);
  if (!twice.empty()) return twice;
  if (object.is_discarded()) {
    return "not JSON at character " + std::to_string(FindNoJson(line).value_or(0));
  }
  return object.is_object() ? "" : "not a JSON object";
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

std::vector<std::string> JsonLinesReader::Keys() {
  Row row;
  std::string problem;
  std::vector<std::string> keys;
  if (!NextLine(row, problem)) {
    characters_.Stop(ErrorCode::kInvalid, "no rows", characters_.line());
    return keys;
  }
  if (problem.empty()) problem = ReadObject(line_, row.object);
  if (!problem.empty()) {
    characters_.Stop(ErrorCode::kInvalid, std::move(problem), row.line,
                     "each line is one JSON object, a row");
    return keys;
  }
  for (const auto& [key, value] : row.object.items()) keys.push_back(key);
  return keys;
}

// A whole object. Roles that a row must have are looked for here, so that the first row tells.
Taken JsonLinesReader::NextObject(Row& row, std::string& problem, bool first) {
  problem = ReadObject(line_, row.object);
  if (!problem.empty()) return Taken::kBadRow;
  for (const RoleOf& role : RolesOf(request_.format)) {
    const auto column = request_.columns.by_role.find(role.name);
    if (!role.required || row.object.contains(column->second)) continue;
    std::vector<std::string> keys;
    for (const auto& [key, value] : row.object.items()) keys.push_back(key);
    MissingColumn missing = DescribeMissing(column->second, role.name, keys);
    problem = std::move(missing.message);
    if (!first) return Taken::kBadRow;
    characters_.Stop(ErrorCode::kInvalid, std::move(problem), row.line, std::move(missing.hint));
    return Taken::kEnd;
  }
  return Taken::kRow;
}

bool JsonLinesReader::NextLine(Row& row, std::string& problem) {
  do {
    while (characters_.Peek() == '\n') characters_.Take();
    row.line = characters_.line();
    if (!characters_.TakeLine(line_, kRowBytesMax)) return false;
  } while (IsBlank(line_));
  const bool first = !std::exchange(any_, true);
  const std::string_view start = std::string_view(line_).substr(line_.find_first_not_of(" \t"));
  const bool opens_only = start.substr(0, start.find_last_not_of(" \t\r") + 1) == "{";
  if (first && (start.front() == '[' || opens_only)) {
    characters_.Stop(ErrorCode::kInvalid,
                     opens_only ? "a JSON object of several lines, not one object a line"
                                : "a JSON array, not one JSON object a line",
                     row.line, "write each object on a line of its own");
    return false;
  }
  problem = TextProblem(line_);
  return true;
}

Taken JsonLinesReader::Next(Row& row, std::string& problem) {
  const bool first = !any_;
  if (!NextLine(row, problem)) return Taken::kEnd;
  if (!problem.empty()) return Taken::kBadRow;
  if (IsStructured(request_.format)) return NextObject(row, problem, first);
  row.label.reset();
  RowEvents events(request_, row);
  if (!Json::sax_parse(line_, &events)) {
    problem = std::move(events.problem);
    return Taken::kBadRow;
  }
  const bool no_label = request_.needs_label() && !row.label;
  if (events.has_text && !no_label) return Taken::kRow;
  const std::string& column = events.has_text ? request_.columns.label : request_.columns.text;
  const bool completes = request_.format == RowFormat::kPromptCompletion;
  const char* const role =
      events.has_text ? (completes ? "completion" : "label") : (completes ? "prompt" : "text");
  MissingColumn missing = DescribeMissing(column, role, events.keys);
  problem = std::move(missing.message);
  if (!first) return Taken::kBadRow;
  // The first row lacks it: the others will, too.
  characters_.Stop(ErrorCode::kInvalid, std::move(problem), row.line, std::move(missing.hint));
  return Taken::kEnd;
}

}  // namespace tutti::data
