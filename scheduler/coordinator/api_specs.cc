// Specs that are being written: what is wrong with them, and where.
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "jobs/spec/json_text.h"
#include "jobs/spec/parse.h"
#include "scheduler/coordinator/answers.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::string_view kFile = "spec";
constexpr std::size_t kSpecMax = std::size_t{1} << 20;

// As it was written; what JSON has no number for stays text.
json ValueOf(const spec::Node& node) {
  if (const spec::Map* map = node.AsMap()) {
    json object = json::object();
    for (const spec::Entry& entry : *map) object[entry.key] = ValueOf(entry.value);
    return object;
  }
  if (const spec::List* list = node.AsList()) {
    json array = json::array();
    for (const spec::Node& each : *list) array.push_back(ValueOf(each));
    return array;
  }
  if (const bool* flag = std::get_if<bool>(&node.value)) return *flag;
  if (const std::int64_t* whole = std::get_if<std::int64_t>(&node.value)) return *whole;
  if (const double* number = std::get_if<double>(&node.value)) {
    return std::isfinite(*number) ? json(*number) : json(node.written);
  }
  if (const std::string* text = std::get_if<std::string>(&node.value)) return *text;
  return nullptr;
}

json DocumentOf(const std::string& text) {
  std::vector<spec::LocatedError> ignored;
  const auto root = spec::ReadText(text, {.file_name = kFile}, ignored);
  return root ? ValueOf(*root) : json();
}

// "spec:14:5" → line 14, column 5; null where an error names no place in the text.
json ProblemOf(const Error& error) {
  json problem = {
      {"code", ToString(error.code)}, {"message", error.message}, {"where", error.where},
      {"hint", error.hint},           {"line", nullptr},          {"column", nullptr}};
  const std::string prefix = std::string(kFile) + ":";
  if (!error.where.starts_with(prefix)) return problem;
  int line = 0;
  int column = 0;
  const char* end = error.where.data() + error.where.size();
  const auto [colon, bad_line] = std::from_chars(error.where.data() + prefix.size(), end, line);
  if (bad_line != std::errc()) return problem;
  problem["line"] = line;
  if (colon != end && std::from_chars(colon + 1, end, column).ec == std::errc()) {
    problem["column"] = column;
  }
  return problem;
}

http::Response CheckSpec(const http::Request& request) {
  const json& body = BodyOf(request);
  if (const Status keys = CheckKeys(body, {"text"}); !keys) {
    return http::ErrorResponse(keys.error());
  }
  const auto text = body.find("text");
  if (text == body.end() || !text->is_string()) {
    return http::ErrorResponse(
        Error{ErrorCode::kInvalid, "the spec's text, YAML or JSON, is required", "#/text"});
  }
  const auto& written = text->get_ref<const std::string&>();
  auto parsed = spec::ParseSpec(written, {.file_name = kFile});
  json answer = {{"problems", json::array()},
                 {"notes", json::array()},
                 {"document", DocumentOf(written)},
                 {"spec", nullptr}};
  if (!parsed) {
    for (const Error& error : parsed.error()) answer["problems"].push_back(ProblemOf(error));
  } else if (parsed->sweep) {
    answer["problems"].push_back(ProblemOf(
        {ErrorCode::kUnsupported, "this is a sweep; here one job is made", {}, "remove `sweep`"}));
  } else {
    answer["notes"] = parsed->notes;
    answer["spec"] = spec::ToJson(parsed->job);
  }
  return http::Json(200, answer);
}

constexpr const char* kRequestSchema = R"({"type": "object", "required": ["text"],
  "properties": {"text": {"type": "string", "description": "YAML or JSON"}},
  "additionalProperties": false})";
constexpr const char* kAnswerSchema = R"({"type": "object",
  "required": ["problems", "notes", "document", "spec"], "properties": {
  "problems": {"type": "array", "items": {"type": "object", "properties": {
    "code": {"type": "string"}, "message": {"type": "string"}, "where": {"type": "string"},
    "hint": {"type": "string"}, "line": {"type": ["integer", "null"]},
    "column": {"type": ["integer", "null"]}}}},
  "notes": {"type": "array", "items": {"type": "string"}},
  "document": {"description": "the text's own values; null when it cannot be read"},
  "spec": {"type": ["object", "null"], "description": "resolved, without its inputs"}}})";

}  // namespace

void RegisterSpecRoutes(http::Router& router, Api&) {
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/specs/check",
              .summary = "What is wrong with a spec's text, and where; the resolved spec when "
                         "nothing is",
              .request_schema = kRequestSchema,
              .response_schema = kAnswerSchema,
              .access = http::Access::kSubmitter,
              .body = http::Body::kJson,
              .body_max = Bytes{2 * kSpecMax},
              .run_on = http::RunOn::kPool,
              .handler = [](const http::Request& request, const http::Responder& responder) {
                responder.Send(CheckSpec(request));
              }});
}

}  // namespace tutti::coordinator
