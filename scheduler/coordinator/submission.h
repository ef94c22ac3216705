// A submitted spec on its way into the scheduler: read, checked against the blobs. Pure but for
// looking which blobs are there.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/spec/spec.h"
#include "scheduler/core/inputs.h"
#include "scheduler/core/ledger.h"
#include "scheduler/http/message.h"
#include "scheduler/registry/blob_store.h"

namespace tutti::coordinator {

// A submission on its way, with the names of what it depends on.
struct Submission {
  core::Submit input;
  std::vector<std::string> depends_on;
};

// What POST /jobs says.
struct SubmitBody {
  spec::JobSpec job;
  bool held = false;
};
// Or the answer that says what is wrong with it.
tl::expected<SubmitBody, http::Response> ReadSubmitBody(std::string_view body);

// The member "spec" of a body. Every error found; kInvalid and kUnsupported.
tl::expected<spec::JobSpec, std::vector<Error>> ReadSpec(const nlohmann::json& body);
// kInvalid when inputs are not there; where = their digests.
Status CheckInputs(const spec::JobSpec& job, const registry::BlobStore& blobs);

// The jobs that `schedule.depends_on` names, by id, prefix or name, into the request.
Status FindDependencies(const core::Ledger& ledger, const std::vector<std::string>& names,
                        core::JobRequest& request);

// With a fresh id, without what it depends on.
core::Submit SubmitOf(const spec::JobSpec& job, std::string user);

}  // namespace tutti::coordinator
