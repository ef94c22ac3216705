#include "jobs/cli/exit_codes.h"

#include "jobs/cli/json_fields.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {

Exit ExitOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kUnsupported:
    case ErrorCode::kTooLarge:
      return kValidation;
    case ErrorCode::kNotFound:
      return kNotFound;
    case ErrorCode::kConflict:
      return kUsage;
    case ErrorCode::kAuth:
      return kAuth;
    case ErrorCode::kQuota:
      return kQuota;
    case ErrorCode::kUnavailable:
      return kUnreachable;
    case ErrorCode::kTimeout:
      return kTimeout;
    case ErrorCode::kDiskFull:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return kJobFailed;
  }
  return kJobFailed;
}

Exit ExitOf(const client::Errors& errors) {
  if (client::Interrupted()) return kInterrupted;
  return errors.empty() ? kJobFailed : ExitOf(errors.front().code);
}

Exit ExitOfJob(const nlohmann::json& job) {
  return TextAt(job, "/state") == "succeeded" ? kOk : kJobFailed;
}

Exit ExitOfFollowed(const nlohmann::json& job) {
  const std::string reason = TextAt(job, "/reason");
  const bool refused = TextAt(job, "/state") == "failed" && ListAt(job, "/attempts").empty() &&
                       (reason == "data" || reason == "oom" || reason == "disk_full");
  return refused ? kValidation : ExitOfJob(job);
}

}  // namespace tutti::cli
