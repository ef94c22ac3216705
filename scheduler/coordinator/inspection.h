// Inspection: what the tool `inspect` is asked about a job, and what its answer means. Pure
// functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/spec/spec.h"
#include "scheduler/coordinator/tools.h"
#include "scheduler/core/inputs.h"

namespace tutti::coordinator {

inline constexpr Duration kInspectDeadline = std::chrono::minutes(10);

// Inputs of `file:///…` are passed as absolute paths, the others as blobs to place.
ToolCall InspectCall(const spec::JobSpec& job);
core::InspectFinished ReadInspection(JobId job, const Result<nlohmann::json>& answer);
// The member "estimate" of an answer.
core::Estimate ReadEstimate(const nlohmann::json& answer);

// "file:///data/rows.jsonl": read in place on the worker, never uploaded.
bool IsInPlace(std::string_view input);

// Every blob the job's inputs name.
std::vector<spec::InputFile> InputsOf(const spec::JobSpec& job);

}  // namespace tutti::coordinator
