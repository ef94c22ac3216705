#include "scheduler/coordinator/submission.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "jobs/spec/parse.h"
#include "jobs/spec/sound_json.h"
#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/inspection.h"
#include "scheduler/coordinator/job_request.h"
#include "scheduler/coordinator/random_bits.h"
#include "scheduler/http/json.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

Unexpected NotUploaded(const std::string& what, std::string where) {
  return Fail(ErrorCode::kInvalid, what + " is not among the spec's inputs", std::move(where),
              "hash it, upload it as a blob and name it in spec.inputs, or use file:///…");
}

// Most bodies: with nothing wrong, they are read in one pass.
std::optional<SubmitBody> ReadSoundBody(std::string_view text) {
  const auto root = spec::ReadSoundJson(text);
  if (!root || root->AsMap() == nullptr) return std::nullopt;
  std::optional<SubmitBody> read;
  bool held = false;
  for (const spec::Entry& entry : *root->AsMap()) {
    if (entry.key == "hold" && std::holds_alternative<bool>(entry.value.value)) {
      held = std::get<bool>(entry.value.value);
    } else if (entry.key == "spec") {
      auto job = spec::FromSoundTree(entry.value);
      if (!job) return std::nullopt;
      read.emplace(SubmitBody{.job = *std::move(job)});
    } else {
      return std::nullopt;
    }
  }
  if (read) read->held = held;
  return read;
}

}  // namespace

tl::expected<SubmitBody, http::Response> ReadSubmitBody(std::string_view body) {
  if (auto read = ReadSoundBody(body)) return *std::move(read);
  // The slower way knows where everything stands.
  const auto json = http::ParseJson(body.empty() ? "{}" : body);
  if (!json) return tl::unexpected(http::ErrorResponse(400, json.error()));
  const Status keys = CheckKeys(*json, {"spec", "hold"});
  if (!keys) return tl::unexpected(http::ErrorResponse(keys.error()));
  const auto held = FlagIn(*json, "hold");
  if (!held) return tl::unexpected(http::ErrorResponse(held.error()));
  auto job = ReadSpec(*json);
  if (!job) return tl::unexpected(http::ErrorResponse(job.error()));
  return SubmitBody{.job = *std::move(job), .held = *held};
}

tl::expected<spec::JobSpec, std::vector<Error>> ReadSpec(const json& body) {
  const auto found = body.find("spec");
  if (found == body.end()) {
    return tl::unexpected(
        std::vector{Error{ErrorCode::kInvalid, "a resolved spec is required", "#/spec"}});
  }
  return spec::FromJson(*found);
}

Status CheckInputs(const spec::JobSpec& job, const registry::BlobStore& blobs) {
  if (job.inputs.model.empty() && !IsInPlace(job.model)) {
    return NotUploaded("the model '" + job.model + "'", "#/spec/model");
  }
  if (!job.inputs.train && !IsInPlace(job.data.train)) {
    return NotUploaded("the data '" + job.data.train + "'", "#/spec/data/train");
  }
  if (job.data.eval && !job.inputs.eval && !IsInPlace(*job.data.eval)) {
    return NotUploaded("the data '" + *job.data.eval + "'", "#/spec/data/eval");
  }
  std::string missing;
  for (const spec::InputFile& file : InputsOf(job)) {
    TUTTI_RETURN_IF_ERROR(CheckPlainRelative(file.path));
    const auto digest = Digest::Parse(file.digest);
    if (!digest) return Fail(ErrorCode::kInvalid, "not a digest", file.digest);
    const auto size = blobs.Touch(*digest);
    if (!size) {
      missing += (missing.empty() ? "" : " ") + file.digest;
    } else if (size->count != file.size_bytes) {
      return Fail(ErrorCode::kInvalid,
                  "the blob has " + std::to_string(size->count) + " bytes, the spec says " +
                      std::to_string(file.size_bytes),
                  file.digest);
    }
  }
  if (missing.empty()) return {};
  return Fail(ErrorCode::kInvalid, "inputs were not uploaded", missing,
              "PUT each to /api/v1/blobs/{digest} first; an older job's may have been collected: "
              "submit its files again");
}

Status FindDependencies(const core::Ledger& ledger, const std::vector<std::string>& names,
                        core::JobRequest& request) {
  request.depends_on.clear();
  for (const std::string& name : names) {
    const core::Job* job = core::FindJobByText(ledger, name);
    if (job == nullptr) {
      return Fail(ErrorCode::kInvalid, "there is no job '" + name + "'",
                  "#/spec/schedule/depends_on",
                  "'tutti ps --all' shows those there are; leave out what ended long ago");
    }
    request.depends_on.push_back(job->id);
  }
  return {};
}

core::Submit SubmitOf(const spec::JobSpec& job, std::string user) {
  core::Submit input;
  input.job = JobId(RandomBits());
  input.request = RequestOf(job, std::move(user));
  input.spec_json = spec::ToJsonText(job);
  return input;
}

}  // namespace tutti::coordinator
