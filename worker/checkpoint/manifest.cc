#include "worker/checkpoint/manifest.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/units.h"
#include "common/file/file.h"
#include "worker/checkpoint/container.h"

namespace tutti::checkpoint {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr Bytes kManifestMax{1 << 20};
constexpr std::string_view kStepPrefix = "step-";
constexpr int kStepDigits = 8;

// Takes a number off the front of `text`: digits alone, at most those of the type.
template <typename Number>
std::optional<Number> TakeNumber(std::string_view& text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// Reads fields of a JSON object and remembers the first that is missing or of another type.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  std::int64_t Number(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return 0;
    if (!value->is_number_integer() ||
        (value->is_number_unsigned() && value->get<std::uint64_t>() > std::uint64_t{INT64_MAX})) {
      Refuse(name);
      return 0;
    }
    return value->get<std::int64_t>();
  }
  double Real(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return 0;
    if (!value->is_number()) Refuse(name);
    return value->is_number() ? value->get<double>() : 0;
  }
  std::string Text(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return "";
    if (!value->is_string()) Refuse(name);
    return value->is_string() ? value->get<std::string>() : "";
  }
  std::string Sha256Text(const char* name) {
    std::string text = Text(name);
    if (!Digest::Parse(text)) Refuse(name);
    return text;
  }
  const std::string& problem() const { return problem_; }
  void Refuse(const std::string& name) {
    if (problem_.empty()) problem_ = "'" + name + "' is missing or not what it must be";
  }

 private:
  const Json* Find(const char* name) {
    const auto it = object_.find(name);
    if (it != object_.end()) return &*it;
    Refuse(name);
    return nullptr;
  }

  const Json& object_;
  std::string problem_;
};

Status ReadCursor(const Json& json, Cursor& cursor) {
  Fields fields(json);
  for (const CursorField& field : kCursorFields) cursor.*field.member = fields.Number(field.name);
  cursor.best_metric = fields.Real(kBestMetric);
  if (fields.problem().empty()) return {};
  return Fail(ErrorCode::kInvalid, "cursor: " + fields.problem());
}

Status ReadFields(const Json& json, const Stem& stem, Found& found) {
  const auto cursor = json.find("cursor");
  const auto metrics = json.find("metrics");
  if (cursor == json.end() || !cursor->is_object() || metrics == json.end() ||
      !metrics->is_object()) {
    return Fail(ErrorCode::kInvalid, "no cursor or no metrics");
  }
  Fields fields(json);
  if (fields.Number("format_version") != kFormatVersion) fields.Refuse("format_version");
  found.step = fields.Number("step");
  if (found.step != stem.step) fields.Refuse("step");
  if (fields.Number("attempt") != std::int64_t{stem.attempt}) fields.Refuse("attempt");
  found.attempt = stem.attempt;
  if (fields.Text("file") != found.path.filename().string()) fields.Refuse("file");
  found.size = Bytes{fields.Number("size_bytes")};
  if (found.size.count < 0) fields.Refuse("size_bytes");
  found.file_sha256 = fields.Sha256Text("file_sha256");
  found.state_digest = fields.Sha256Text("state_digest");
  found.spec_digest = fields.Text("spec_digest");
  if (!fields.problem().empty()) return Fail(ErrorCode::kInvalid, fields.problem());
  for (const auto& [name, value] : metrics->items()) {
    if (!value.is_number()) return Fail(ErrorCode::kInvalid, "metric '" + name + "' is no number");
    found.metrics.emplace(name, value.get<double>());
  }
  TUTTI_RETURN_IF_ERROR(ReadCursor(*cursor, found.cursor));
  if (found.cursor.step == found.step) return {};
  return Fail(ErrorCode::kInvalid, "the cursor is at another step");
}

std::optional<Stem> ManifestStem(const std::filesystem::path& path) {
  auto stem = ParseStem(path.filename().string());
  if (!stem || stem->rest != kManifestSuffix) return std::nullopt;
  return stem;
}

Unexpected NoManifest(const std::filesystem::path& path) {
  return Fail(ErrorCode::kInvalid, "not the name of a checkpoint's manifest", path.string());
}

}  // namespace

std::string FormatStem(std::int64_t step, std::uint32_t attempt) {
  char text[64];
  std::snprintf(text, sizeof text, "step-%0*lld.a%u", kStepDigits, static_cast<long long>(step),
                attempt);
  return text;
}

std::optional<Stem> ParseStem(std::string_view file_name) {
  std::string_view left = file_name;
  if (!left.starts_with(kStepPrefix)) return std::nullopt;
  left.remove_prefix(kStepPrefix.size());
  const auto step = TakeNumber<std::int64_t>(left);
  if (!step || !left.starts_with(".a")) return std::nullopt;
  left.remove_prefix(2);
  const auto attempt = TakeNumber<std::uint32_t>(left);
  if (!attempt) return std::nullopt;
  const std::string stem = FormatStem(*step, *attempt);
  if (!file_name.starts_with(stem) || file_name.size() - stem.size() != left.size()) {
    return std::nullopt;
  }
  return Stem{.step = *step, .attempt = *attempt, .rest = std::string(left)};
}

std::string FormatManifest(const Found& found) {
  OrderedJson cursor;
  for (const CursorField& field : kCursorFields) cursor[field.name] = found.cursor.*field.member;
  cursor[kBestMetric] = found.cursor.best_metric;
  OrderedJson metrics = OrderedJson::object();
  for (const auto& [name, value] : found.metrics) metrics[name] = value;
  const OrderedJson json = {{"format_version", kFormatVersion},
                            {"step", found.step},
                            {"attempt", found.attempt},
                            {"file", found.path.filename().string()},
                            {"size_bytes", found.size.count},
                            {"file_sha256", found.file_sha256},
                            {"state_digest", found.state_digest},
                            {"spec_digest", found.spec_digest},
                            {"cursor", cursor},
                            {"metrics", metrics}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Found> ReadManifest(const std::filesystem::path& path) {
  if (!ManifestStem(path)) return NoManifest(path);
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kManifestMax));
  return ParseManifest(text, path);
}

Result<Found> ParseManifest(std::string_view text, const std::filesystem::path& path) {
  const std::string where = path.string();
  const auto stem = ManifestStem(path);
  if (!stem) return NoManifest(path);
  // Objects two levels deep: what nests deeper is dropped while parsing, not built.
  const Json json = Json::parse(
      text, [](int depth, Json::parse_event_t, Json&) { return depth <= 3; },
      /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail(ErrorCode::kInvalid, "not a JSON object", where);
  Found found;
  found.path = path.parent_path() / FormatStem(stem->step, stem->attempt);
  found.path += kDataSuffix;
  if (Status status = ReadFields(json, *stem, found); !status) {
    return Fail(ErrorCode::kInvalid, status.error().message, where);
  }
  return found;
}

}  // namespace tutti::checkpoint
