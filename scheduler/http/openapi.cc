#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/words.h"
#include "scheduler/http/router.h"

namespace tutti::http {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kErrorSchema = R"json({
  "type": "object",
  "required": ["error"],
  "properties": {"error": {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
      "code": {"type": "string"},
      "message": {"type": "string"},
      "where": {"type": "string"},
      "hint": {"type": "string"},
      "errors": {"type": "array", "items": {"type": "object"}}
    }
  }}
})json";

// "/files/{path...}" → "/files/{path}"; OpenAPI knows no rest parameters.
std::string DocumentPath(std::string_view path) {
  std::string out(path);
  if (const std::size_t dots = out.find("...}"); dots != std::string::npos) out.erase(dots, 3);
  return out;
}

// GET /api/v1/jobs/{job} → "get_jobs_job".
std::string OperationId(const Route& route) {
  std::string id = LowerCase(ToString(route.method));
  std::string_view path = route.path;
  if (path.starts_with("/api/v1")) path.remove_prefix(7);
  bool gap = true;
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) {
      gap = true;
      continue;
    }
    if (std::exchange(gap, false)) id.push_back('_');
    id.push_back(c);
  }
  return id;
}

ordered_json Parameters(const Route& route) {
  ordered_json list = ordered_json::array();
  const std::string path = DocumentPath(route.path);
  for (std::size_t open = path.find('{'); open != std::string::npos;
       open = path.find('{', open + 1)) {
    const std::size_t close = path.find('}', open);
    list.push_back({{"name", path.substr(open + 1, close - open - 1)},
                    {"in", "path"},
                    {"required", true},
                    {"schema", {{"type", "string"}}}});
  }
  for (const std::string& name : route.query) {
    list.push_back({{"name", name}, {"in", "query"}, {"schema", {{"type", "string"}}}});
  }
  return list;
}

ordered_json RequestBody(const Route& route) {
  ordered_json content;
  if (route.body == Body::kFile) {
    content["application/octet-stream"] = {{"schema", {{"type", "string"}, {"format", "binary"}}}};
  } else {
    content["application/json"]["schema"] = route.request_schema.empty()
                                                ? ordered_json::object()
                                                : ordered_json::parse(route.request_schema);
  }
  return {{"content", std::move(content)}};
}

ordered_json Operation(const Route& route) {
  ordered_json operation = {{"operationId", OperationId(route)}, {"summary", route.summary}};
  if (ordered_json parameters = Parameters(route); !parameters.empty()) {
    operation["parameters"] = std::move(parameters);
  }
  if (route.body != Body::kNone) operation["requestBody"] = RequestBody(route);
  ordered_json schema = {{"type", "string"}};
  if (!route.response_schema.empty()) schema = ordered_json::parse(route.response_schema);
  ordered_json success = {{"description", std::string(StatusText(route.status))}};
  if (route.method != Method::kHead) {
    success["content"][route.response_type]["schema"] = std::move(schema);
  }
  ordered_json failure = {{"description", "An error"}};
  failure["content"]["application/json"]["schema"] = {{"$ref", "#/components/schemas/Error"}};
  operation["responses"][std::to_string(route.status)] = std::move(success);
  operation["responses"]["default"] = std::move(failure);
  if (route.access == Access::kOpen) {
    operation["security"] = ordered_json::array();
  } else {
    operation["x-scope"] = ToString(route.access);
  }
  return operation;
}

}  // namespace

std::string OpenApiDocument(const Router& router, std::string_view title,
                            std::string_view version) {
  ordered_json document = {{"openapi", "3.1.0"},
                           {"info", {{"title", title}, {"version", version}}},
                           {"security", {{{"bearer", ordered_json::array()}}}}};
  ordered_json paths = ordered_json::object();
  for (const Route& route : router.routes()) {
    paths[DocumentPath(route.path)][LowerCase(ToString(route.method))] = Operation(route);
  }
  document["paths"] = std::move(paths);
  ordered_json& components = document["components"];
  components["securitySchemes"]["bearer"] = {{"type", "http"}, {"scheme", "bearer"}};
  components["schemas"]["Error"] = ordered_json::parse(kErrorSchema);
  for (const auto& [name, schema] : router.schemas()) {
    components["schemas"][name] = ordered_json::parse(schema);
  }
  return document.dump(2) + "\n";
}

}  // namespace tutti::http
