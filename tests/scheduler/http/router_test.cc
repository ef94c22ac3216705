#include "scheduler/http/router.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace tutti::http {
namespace {

using nlohmann::json;

void Nothing(const Request&, const Responder&) {}

void Add(Router& router, Method method, std::string path, Route more = {}) {
  more.method = method;
  more.path = std::move(path);
  more.summary = "for tests";
  more.handler = Nothing;
  router.Add(std::move(more));
}

std::string Matched(const Router& router, Method method, std::string_view path) {
  const auto match = router.Find(method, path);
  if (!match) return std::string(ToString(match.error().code));
  std::string text = match->route->path;
  for (const auto& [name, value] : match->params) text += " " + name + "=" + value;
  return text;
}

TEST(Router, WordsWinOverParametersAndThoseOverTheRest) {
  Router router;
  Add(router, Method::kGet, "/");
  Add(router, Method::kGet, "/jobs/{job}");
  Add(router, Method::kGet, "/jobs/newest");
  Add(router, Method::kGet, "/jobs/{job}/logs");
  Add(router, Method::kGet, "/{any...}");
  EXPECT_EQ(Matched(router, Method::kGet, "/"), "/");
  EXPECT_EQ(Matched(router, Method::kGet, "/jobs/j-1"), "/jobs/{job} job=j-1");
  EXPECT_EQ(Matched(router, Method::kGet, "/jobs/newest"), "/jobs/newest");
  EXPECT_EQ(Matched(router, Method::kGet, "/jobs/newest/logs"), "/jobs/{job}/logs job=newest");
  EXPECT_EQ(Matched(router, Method::kGet, "/jobs/a/b/c"), "/{any...} any=jobs/a/b/c");
}

TEST(Router, APartIsDecodedAfterItWasFound) {
  Router router;
  Add(router, Method::kGet, "/models/{model}");
  Add(router, Method::kGet, "/models/{model}/files/{path...}");
  EXPECT_EQ(Matched(router, Method::kGet, "/models/org%2Fname"), "/models/{model} model=org/name");
  EXPECT_EQ(Matched(router, Method::kGet, "/models/m/files/a%20b/c"),
            "/models/{model}/files/{path...} model=m path=a b/c");
  EXPECT_EQ(Matched(router, Method::kGet, "/models/m/files/"),
            "/models/{model}/files/{path...} model=m path=");
  for (const char* path : {"/models/..", "/models/%2e%2e", "/models/m/files/../x", "/models/.",
                           "/models/m/files/a%2Fb", "/models/m/files/a%5Cb", "/models/m/files/a//b",
                           "/models/m/files/a/", "/models/%", "/models/%00", "models/m", ""}) {
    EXPECT_EQ(Matched(router, Method::kGet, path), "invalid") << path;
  }
  for (const char* path :
       {"/models", "/models/", "/Models/m", "/models/m/", "/models//x", "/models/m/files"}) {
    EXPECT_EQ(Matched(router, Method::kGet, path), "not_found") << path;
  }
}

TEST(Router, HeadFallsBackToGetAndOthersAreNamed) {
  Router router;
  Add(router, Method::kGet, "/a");
  Add(router, Method::kPost, "/a");
  Add(router, Method::kGet, "/b");
  Add(router, Method::kHead, "/b");
  EXPECT_EQ(router.Find(Method::kHead, "/a").value().route->method, Method::kGet);
  EXPECT_EQ(router.Find(Method::kHead, "/b").value().route->method, Method::kHead);
  EXPECT_EQ(router.Find(Method::kGet, "/b").value().route->method, Method::kGet);
  const Error error = router.Find(Method::kDelete, "/a").error();
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_EQ(error.hint, "GET, POST");
}

TEST(RouterDeathTest, BadRoutesAreBugs) {
  Router router;
  Add(router, Method::kGet, "/jobs/{job}");
  EXPECT_DEATH(Add(router, Method::kGet, "/jobs/{name}"), "there twice");
  EXPECT_DEATH(Add(router, Method::kGet, "jobs"), "route");
  EXPECT_DEATH(Add(router, Method::kGet, "/{rest...}/more"), "after the rest");
  EXPECT_DEATH(Add(router, Method::kPost, "/x", {.request_schema = "{"}), "no JSON");
  EXPECT_DEATH(router.Add({.path = "/y", .summary = "s"}), "no handler");
}

// Every "$ref" of the document leads somewhere.
void CheckReferences(const json& document, const json& part) {
  if (part.is_object() && part.contains("$ref")) {
    const std::string reference = part["$ref"];
    ASSERT_TRUE(reference.starts_with("#/")) << reference;
    EXPECT_TRUE(document.contains(json::json_pointer(reference.substr(1)))) << reference;
  }
  if (part.is_structured()) {
    for (const json& each : part) CheckReferences(document, each);
  }
}

std::string LowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

TEST(OpenApi, HasEveryRouteAndItsSchemas) {
  Router router;
  router.AddSchema(
      "Job",
      R"({"type": "object", "properties": {"queue": {"$ref": "#/components/schemas/Queue"}}})");
  router.AddSchema("Queue", R"({"type": "object"})");
  const std::string job = R"({"$ref": "#/components/schemas/Job"})";
  Add(router, Method::kGet, "/healthz", {.access = Access::kOpen});
  Add(router, Method::kGet, "/jobs/{job}", {.response_schema = job, .access = Access::kViewer});
  Add(router, Method::kPost, "/jobs",
      {.request_schema = job, .response_schema = job, .status = 201, .body = Body::kJson});
  Add(router, Method::kGet, "/jobs", {.query = {"state", "limit"}});
  Add(router, Method::kPatch, "/jobs/{job}", {.body = Body::kJson});
  Add(router, Method::kPut, "/blobs/{digest}", {.body = Body::kFile});
  Add(router, Method::kHead, "/blobs/{digest}");
  Add(router, Method::kGet, "/models/{model}/files/{path...}",
      {.response_type = "application/octet-stream"});

  const json document = json::parse(OpenApiDocument(router, "Tutti", "0.1.0"));
  EXPECT_EQ(document["openapi"], "3.1.0");
  EXPECT_EQ(document["info"]["version"], "0.1.0");
  std::set<std::string> ids;
  std::size_t operations = 0;
  for (const json& path : document["paths"]) {
    for (const json& operation : path) {
      ++operations;
      EXPECT_TRUE(ids.insert(operation["operationId"].get<std::string>()).second);
      EXPECT_TRUE(operation["responses"].contains("default"));
    }
  }
  EXPECT_EQ(operations, router.routes().size());
  for (const Route& route : router.routes()) {
    std::string path = route.path;
    if (const auto dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
    ASSERT_TRUE(document["paths"].contains(path)) << path;
    const json& operation = document["paths"][path][LowerCase(std::string(ToString(route.method)))];
    ASSERT_TRUE(operation.is_object()) << path;
    EXPECT_TRUE(operation["responses"].contains(std::to_string(route.status)));
    EXPECT_EQ(operation.contains("requestBody"), route.body != Body::kNone);
    EXPECT_EQ(operation.contains("security"), route.access == Access::kOpen);
    EXPECT_EQ(operation.value("x-scope", "none"), ToString(route.access)) << path;
    std::size_t in_path = 0;
    for (const json& parameter : operation.value("parameters", json::array())) {
      if (parameter["in"] != "path") continue;
      ++in_path;
      EXPECT_NE(path.find("{" + parameter["name"].get<std::string>() + "}"), std::string::npos);
    }
    EXPECT_EQ(in_path, static_cast<std::size_t>(std::count(path.begin(), path.end(), '{')));
  }
  EXPECT_EQ(document["paths"]["/jobs"]["get"]["parameters"][1]["name"], "limit");
  CheckReferences(document, document);
}

}  // namespace
}  // namespace tutti::http
