// Any bytes as what follows a method in a request: path, query, a Range value and a JSON body each.
// What is taken is UTF-8 without control characters, stays below the route it matched, and has the
// bounds that the parsers promise.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "scheduler/http/json.h"
#include "scheduler/http/range.h"
#include "scheduler/http/router.h"
#include "scheduler/http/uri.h"
#include "tests/fuzz/fuzz_target.h"

namespace tutti::http {
namespace {

const Router& Routes() {
  static const Router router = [] {
    Router made;
    const auto nothing = [](const Request&, const Responder&) {};
    for (const char* path : {"/healthz", "/api/v1/jobs", "/api/v1/jobs/{job}",
                             "/api/v1/jobs/{job}/logs", "/api/v1/models/{model}/files/{path...}"}) {
      made.Add(
          {.path = path, .summary = "for tests", .access = Access::kViewer, .handler = nothing});
    }
    return made;
  }();
  return router;
}

void CheckDecoded(std::string_view text) {
  TUTTI_CHECK(IsUtf8(text), "no UTF-8");
  for (const char c : text) {
    TUTTI_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a control character");
  }
}

void CheckPath(std::string_view text) {
  const auto match = Routes().Find(Method::kGet, text);
  if (!match) return;
  for (const auto& [name, value] : match->params) {
    CheckDecoded(value);
    if (name == "path" && value.empty()) continue;  // "…/files/": the folder itself
    TUTTI_CHECK(!value.empty() && value != "." && value != "..", name, " is '", value, "'");
    if (name != "path") continue;
    TUTTI_CHECK(value.find('\\') == std::string::npos, "a backslash");
    const std::string between = "/" + value + "/";
    for (const char* odd : {"//", "/./", "/../"}) {
      TUTTI_CHECK(between.find(odd) == std::string::npos, "'", value, "' leaves its folder");
    }
  }
}

void CheckQuery(std::string_view text) {
  const auto fields = ParseQuery(text);
  if (!fields) return;
  TUTTI_CHECK(fields->size() <= 100, fields->size(), " parameters");
  for (const auto& [name, value] : *fields) {
    CheckDecoded(name);
    CheckDecoded(value);
  }
}

void CheckRange(std::string_view text) {
  for (const std::int64_t size : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 40}) {
    const ByteRange range = ParseRange(text, size);
    if (range.kind == ByteRange::Kind::kUnsatisfiable) continue;
    TUTTI_CHECK(range.first >= 0 && range.length >= 0 && range.first <= size - range.length,
                range.first, "+", range.length, " of ", size);
  }
}

void CheckJson(std::string_view text) {
  const auto json = ParseJson(text);
  if (!json) {
    TUTTI_CHECK(json.error().ToString().size() < 512, json.error().ToString().size(), " bytes");
    return;
  }
  const std::string written = json->dump();
  const auto again = ParseJson(written);
  TUTTI_CHECK(again && again->dump() == written, "another value");
}

}  // namespace
}  // namespace tutti::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tutti::http::CheckPath(text);
  tutti::http::CheckQuery(text);
  tutti::http::CheckRange(text);
  tutti::http::CheckJson(text);
  return 0;
}
