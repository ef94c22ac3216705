#include "worker/engine/request.h"

#include <iostream>

#include "common/file/file.h"
#include "common/json/limits.h"

namespace tutti::engine {
namespace {

using nlohmann::json;

constexpr Bytes kRequestMax{64 << 20};
constexpr int kDepthMax = 64;

std::string WhereOf(const char* name) { return std::string("#/") + name; }

const json* Find(const json& request, const char* name) {
  const auto found = request.find(name);
  return found == request.end() || found->is_null() ? nullptr : &*found;
}

Unexpected Wrong(const char* name, const char* expected) {
  return Fail(ErrorCode::kInvalid, std::string("expected ") + expected, WhereOf(name));
}

std::string Dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

Result<json> ReadRequest(const std::string& path) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kRequestMax));
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(text, {.depth_max = kDepthMax}, path));
  json request = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!request.is_object()) {
    return Fail(ErrorCode::kInvalid, "the request is not a JSON object", path);
  }
  return request;
}

Result<std::optional<std::string>> OptionalText(const json& request, const char* name) {
  const json* found = Find(request, name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) return Wrong(name, "a string");
  return found->get<std::string>();
}

Result<std::string> RequiredText(const json& request, const char* name) {
  TUTTI_ASSIGN_OR_RETURN(std::optional<std::string> text, OptionalText(request, name));
  if (!text) return Wrong(name, "a string");
  return std::move(*text);
}

Result<std::optional<std::int64_t>> OptionalCount(const json& request, const char* name) {
  const json* found = Find(request, name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_number_integer() || found->get<std::int64_t>() < 1) {
    return Wrong(name, "a whole number of at least 1");
  }
  return found->get<std::int64_t>();
}

Result<std::vector<std::string>> RequiredTexts(const json& request, const char* name) {
  const json* found = Find(request, name);
  if (found == nullptr || !found->is_array()) return Wrong(name, "an array of strings");
  std::vector<std::string> texts;
  for (const json& text : *found) {
    if (!text.is_string()) return Wrong(name, "an array of strings");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

json ErrorAnswer(const Error& error) {
  return {{"error",
           {{"code", std::string(ToString(error.code))},
            {"message", error.message},
            {"where", error.where},
            {"hint", error.hint}}}};
}

ExitCode WriteAnswer(const Result<json>& answer, std::ostream& out) {
  out << Dump(answer ? *answer : ErrorAnswer(answer.error())) << std::endl;
  if (answer) return kExitOk;
  return ExitCodeOf(answer.error().code) == kExitData ? kExitData : kExitInternal;
}

ExitCode WriteByHand(const Result<json>& answer, bool as_json) {
  if (as_json || answer) return WriteAnswer(answer, std::cout);
  std::cerr << "tutti-engine: " << answer.error().ToString() << std::endl;
  return ExitCodeOf(answer.error().code);
}

}  // namespace tutti::engine
