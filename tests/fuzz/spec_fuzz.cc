// Any bytes as a spec: parsing ends in a job or in a bounded list of located problems, and what is
// a job survives its resolved form. The first line may hold an override: "--set FIELD=VALUE".

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/check.h"
#include "jobs/spec/parse.h"
#include "jobs/spec/sound_json.h"
#include "jobs/spec/tree.h"
#include "tests/fuzz/fuzz_target.h"

namespace tutti::spec {
namespace {

void CheckProblems(const std::vector<Error>& problems) {
  TUTTI_CHECK(!problems.empty() && problems.size() <= kErrorsMax, problems.size(), " problems");
  for (const Error& problem : problems) {
    TUTTI_CHECK(!problem.where.empty(), "no place: ", problem.message);
    TUTTI_CHECK(problem.ToString().size() < 8192, problem.ToString().size(), " bytes of problem");
    TUTTI_CHECK(problem.code == ErrorCode::kInvalid || problem.code == ErrorCode::kUnsupported ||
                    problem.code == ErrorCode::kTooLarge,
                ToString(problem.code), ": ", problem.message);
  }
}

void CheckRoundTrip(const JobSpec& job) {
  const nlohmann::json resolved = ToJson(job);
  const auto back = FromJson(resolved);
  TUTTI_CHECK(back.has_value(), back.error().front().ToString());
  TUTTI_CHECK(*back == job, "changed by its resolved form: ", resolved.dump());
  const auto text = ToJsonText(job);
  TUTTI_CHECK(text == resolved.dump(), "not as nlohmann writes it: ", text);
  const auto sound = ReadSoundJson(text);
  TUTTI_CHECK(sound && FromSoundTree(*sound) == job, "changed by its text: ", text);
}

void Run(std::string_view text) {
  constexpr std::string_view kSet = "--set ";
  std::vector<std::string> sets;
  if (text.starts_with(kSet)) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    sets.emplace_back(text.substr(kSet.size(), end - kSet.size()));
    text.remove_prefix(end);
  }
  const auto parsed = ParseSpec(text, {.file_name = "f", .sets = sets});
  if (!parsed) {
    CheckProblems(parsed.error());
  } else {
    CheckRoundTrip(parsed->job);
  }
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    TUTTI_CHECK(!ReadSoundJson(text), "read in one way only");
    return;
  }
  const auto job = FromJson(json);
  if (const auto sound = ReadSoundJson(text)) {
    const auto sound_job = FromSoundTree(*sound);
    TUTTI_CHECK(sound_job ? job == *sound_job : !job, "read in two ways: ", json.dump());
  }
  if (job) {
    CheckRoundTrip(*job);
  } else {
    CheckProblems(job.error());
  }
}

}  // namespace
}  // namespace tutti::spec

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tutti::spec::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
