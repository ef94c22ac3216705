#include "scheduler/coordinator/inspection.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "jobs/spec/parse.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::string_view kFileScheme = "file://";
constexpr std::size_t kWarningsMax = 50;

std::string PathInPlace(std::string_view input) {
  return std::string(input.substr(kFileScheme.size()));
}

// "train" + "data/rows.jsonl" → "train/rows.jsonl".
std::string PlaceOf(std::string_view folder, std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  return std::string(folder) + "/" + std::string(path);
}

core::ModelFile FileAt(std::string place, const spec::InputFile& input) {
  return {std::move(place), input.digest, static_cast<std::uint64_t>(input.size_bytes)};
}

std::uint64_t CountIn(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer()) return 0;
  if (found->is_number_unsigned()) return found->get<std::uint64_t>();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, found->get<std::int64_t>()));
}

bool IsInputsFault(ErrorCode code) {
  return code == ErrorCode::kInvalid || code == ErrorCode::kUnsupported ||
         code == ErrorCode::kNotFound || code == ErrorCode::kTooLarge;
}

}  // namespace

bool IsInPlace(std::string_view input) { return input.starts_with("file:///"); }

std::vector<spec::InputFile> InputsOf(const spec::JobSpec& job) {
  std::vector<spec::InputFile> all = job.inputs.model;
  if (job.inputs.train) all.push_back(*job.inputs.train);
  if (job.inputs.eval) all.push_back(*job.inputs.eval);
  return all;
}

ToolCall InspectCall(const spec::JobSpec& job) {
  ToolCall call{.tool = "inspect", .request = {}, .files = {}, .deadline = kInspectDeadline};
  call.request["spec"] = spec::ToJson(job);
  call.request["model_dir"] = IsInPlace(job.model) ? PathInPlace(job.model) : "model";
  for (const spec::InputFile& file : job.inputs.model) {
    call.files.push_back(FileAt("model/" + file.path, file));
  }
  if (job.inputs.train) {
    const std::string place = PlaceOf("train", job.inputs.train->path);
    call.request["train_path"] = place;
    call.files.push_back(FileAt(place, *job.inputs.train));
  } else {
    call.request["train_path"] = PathInPlace(job.data.train);
  }
  call.request["eval_path"] = nullptr;
  if (job.inputs.eval) {
    const std::string place = PlaceOf("eval", job.inputs.eval->path);
    call.request["eval_path"] = place;
    call.files.push_back(FileAt(place, *job.inputs.eval));
  } else if (job.data.eval && IsInPlace(*job.data.eval)) {
    call.request["eval_path"] = PathInPlace(*job.data.eval);
  }
  return call;
}

core::Estimate ReadEstimate(const json& answer) {
  core::Estimate estimate;
  if (const auto found = answer.find("estimate"); found != answer.end() && found->is_object()) {
    estimate.memory_bytes_per_rank = CountIn(*found, "memory_bytes_per_rank");
    estimate.disk_bytes = CountIn(*found, "disk_bytes");
    estimate.export_bytes = CountIn(*found, "export_bytes");
    estimate.total_steps = CountIn(*found, "total_steps");
    estimate.rows = CountIn(*found, "rows");
    estimate.tokens = CountIn(*found, "tokens");
    estimate.duration_ms = CountIn(*found, "duration_ms");
  }
  if (const auto found = answer.find("warnings"); found != answer.end() && found->is_array()) {
    for (const json& warning : *found) {
      if (warning.is_string() && estimate.warnings.size() < kWarningsMax) {
        estimate.warnings.push_back(warning.get<std::string>());
      }
    }
  }
  return estimate;
}

core::InspectFinished ReadInspection(JobId job, const Result<json>& answer) {
  core::InspectFinished input;
  input.job = job;
  if (answer) {
    input.outcome = core::InspectOutcome::kAdmitted;
    input.estimate = ReadEstimate(*answer);
    return input;
  }
  const Error& error = answer.error();
  input.outcome = IsInputsFault(error.code) ? core::InspectOutcome::kRejected
                                            : core::InspectOutcome::kUnavailable;
  input.message = error.message;
  if (!error.hint.empty()) input.message += " (" + error.hint + ")";
  input.where = error.where;
  return input;
}

}  // namespace tutti::coordinator
