// The job object of the API (SPEC.md, Fixed names) and what else is shown of jobs, as JSON. Pure
// functions; any thread. Times are RFC 3339, what is absent is null.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "common/enginelink/messages.h"
#include "scheduler/coordinator/job_view.h"
#include "scheduler/core/facts.h"

namespace tutti::coordinator {

// `models_dir`: where the folders of finished models lie.
nlohmann::json JobJson(const JobView& view, const std::filesystem::path& models_dir);

// What a trial's spec has of its own: {"training.seed": 2}.
nlohmann::json ParametersJson(const core::Trial& trial);

// {"step", "total_steps", "epoch", "loss", …}.
nlohmann::json ProgressJson(const enginelink::Progress& progress);
// Without start_at and end_at.
nlohmann::json EstimateJson(const core::Estimate& estimate);
// `name` ("start_at"), and its interval as NAME_earliest and NAME_latest.
void AddExpected(nlohmann::json& to, const std::string& name,
                 const std::optional<Expected>& expected);

// The durable event of a fact; nullopt when the fact is about no job. `ledger` knows the workers'
// names.
struct FactEvent {
  std::string job;
  std::string type;
  std::string data;  // one line
};
std::optional<FactEvent> EventOf(std::uint64_t seq, const core::Fact& fact,
                                 const core::Ledger& ledger);

}  // namespace tutti::coordinator
