// SPEC.md's exit codes. Constants and pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.h"
#include "jobs/client/api.h"

namespace tutti::cli {

enum Exit : int {
  kOk = 0,
  kJobFailed = 1,  // or anything without a code of its own
  kUsage = 2,
  kValidation = 3,
  kAuth = 4,
  kNotFound = 5,
  kQuota = 6,
  kUnreachable = 7,
  kTimeout = 8,
  kInterrupted = 130,
};

Exit ExitOf(ErrorCode code);
// That of the first; kInterrupted when Ctrl-C was why.
Exit ExitOf(const client::Errors& errors);
// Of a finished job's object: kOk for succeeded, else kJobFailed.
Exit ExitOfJob(const nlohmann::json& job);
// As ExitOfJob, but kValidation where the job was refused at admission.
Exit ExitOfFollowed(const nlohmann::json& job);

}  // namespace tutti::cli
