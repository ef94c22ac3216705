#include "worker/agent/tool_request.h"

#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "common/base/ids.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::array<std::string_view, 4> kTools = {"inspect", "try", "eval", "checkpoints"};
constexpr std::array<const char*, 5> kPaths = {"model_dir", "reference_dir", "train_path",
                                               "eval_path", "data_path"};

Result<fs::path> LocalPath(const std::string& text, const std::string& key,
                           const ToolPlaces& places) {
  auto in_place = PathOfFileUrl(text);
  if (text.starts_with('/')) in_place = text;
  if (!in_place) return JoinBeneath(places.folder, text);
  const auto pin = key.ends_with("_dir") ? PinModel : PinData;
  return pin(*in_place, {.data_roots = places.data_roots,
                         .folder = places.folder / "in-place" / key,
                         .files = places.pinned});
}

std::string HowItEnded(std::string_view tool, int wait_status) {
  std::string text(tool);
  if (WIFSIGNALED(wait_status)) {
    const char* name = sigabbrev_np(WTERMSIG(wait_status));
    return text + " was killed by SIG" + (name != nullptr ? name : "?");
  }
  return text + " exited with status " + std::to_string(WEXITSTATUS(wait_status)) +
         " and did not say why";
}

}  // namespace

bool IsTool(std::string_view name) {
  return std::find(kTools.begin(), kTools.end(), name) != kTools.end();
}

Result<std::string> LocalRequest(const std::string& request_json, const ToolPlaces& places) {
  json request = json::parse(request_json, nullptr, false);
  if (!request.is_object()) {
    return Fail(ErrorCode::kInvalid, "the tool's request is not a JSON object");
  }
  for (const char* key : kPaths) {
    const auto found = request.find(key);
    if (found == request.end() || !found->is_string()) continue;
    TUTTI_ASSIGN_OR_RETURN(const fs::path path, LocalPath(found->get<std::string>(), key, places));
    *found = path.string();
  }
  request["cache_dir"] = places.cache_dir.string();
  if (const auto job = request.find("job"); job != request.end()) {
    if (!job->is_string() || !JobId::Parse(job->get<std::string>())) {
      return Fail(ErrorCode::kInvalid, "not a job's id", "#/job");
    }
    request["directory"] = (places.jobs_dir / job->get<std::string>() / "checkpoints").string();
  }
  return request.dump();
}

ToolAnswer AnswerOfError(const Error& error) {
  const json object = {{"code", std::string(ToString(error.code))},
                       {"message", error.message},
                       {"where", error.where},
                       {"hint", error.hint}};
  return {.ok = false, .json = object.dump(-1, ' ', false, json::error_handler_t::replace)};
}

std::vector<std::string> TakePieces(std::string& out) {
  constexpr std::string_view kBegin = R"({"piece":)";
  std::vector<std::string> pieces;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = out.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string_view line = std::string_view(out).substr(begin, end - begin);
    if (!line.starts_with(kBegin)) break;
    pieces.emplace_back(line);
  }
  out.erase(0, begin);
  return pieces;
}

ToolAnswer AnswerOfOutput(std::string_view tool, const std::string& out, const std::string& errors,
                          int wait_status) {
  const json answer = json::parse(out, nullptr, false);
  if (answer.is_object()) {
    const auto error = answer.find("error");
    if (error != answer.end() && error->is_object()) return {.ok = false, .json = error->dump()};
    if (wait_status == 0) return {.ok = true, .json = answer.dump()};
  }
  Error error{.code = ErrorCode::kInternal, .message = HowItEnded(tool, wait_status)};
  if (wait_status == 0) error.message = std::string(tool) + " did not answer with a JSON object";
  if (!errors.empty()) error.message += ": " + errors;
  return AnswerOfError(error);
}

}  // namespace tutti::agent
