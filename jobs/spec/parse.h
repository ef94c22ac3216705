// From a spec's text to a JobSpec with every default filled in and every rule checked. Free
// functions, no IO (paths stay as written), any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "jobs/spec/spec.h"
#include "jobs/spec/sweep.h"

namespace tutti::spec {

struct Node;

struct ParseOptions {
  std::string_view file_name = "spec";     // in errors: "spec.yaml:14:5"
  std::span<const std::string> sets = {};  // of `--set`: "training.learning_rate=1e-4"
};

struct Parsed {
  JobSpec job;
  std::optional<SweepSpec> sweep;  // of a sweep file
  std::vector<std::string> notes;  // "max_steps wins over num_train_epochs"
};

// Every problem found, in reading order, at most kErrorsMax: kInvalid, or kUnsupported for what
// SPEC.md has and this version does not build. `text` is YAML, or JSON when it starts with '{'.
tl::expected<Parsed, std::vector<Error>> ParseSpec(std::string_view text,
                                                   const ParseOptions& options = {});

// The resolved form: every field, defaults written out, `inputs` as they are. Reading back what
// ToJson wrote gives an equal JobSpec; where = "#/training/shards". What a client sends and the
// journal keeps.
nlohmann::json ToJson(const JobSpec& job);
std::string ToJsonText(const JobSpec& job);  // as ToJson(job).dump()
tl::expected<JobSpec, std::vector<Error>> FromJson(const nlohmann::json& resolved);
// The same of a tree of sound_json.h; nullopt when anything is wrong: FromJson says what.
std::optional<JobSpec> FromSoundTree(const Node& resolved);

// The JSON Schema (2020-12) of what a person writes, for editors; and a commented spec to start
// from.
nlohmann::json SpecSchema();

}  // namespace tutti::spec
