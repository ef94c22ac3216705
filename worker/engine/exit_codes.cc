#include "worker/engine/exit_codes.h"

namespace tutti::engine {

const char* ReasonOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:
    case ErrorCode::kTooLarge:
      return "data";
    case ErrorCode::kQuota:
      return "oom";
    case ErrorCode::kTimeout:
      return "hang";
    case ErrorCode::kUnavailable:
      return "crash";
    case ErrorCode::kDiskFull:
      return "disk_full";
    case ErrorCode::kAuth:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

ExitCode ExitCodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:
    case ErrorCode::kTooLarge:
      return kExitData;
    case ErrorCode::kQuota:
      return kExitOutOfMemory;
    case ErrorCode::kTimeout:
      return kExitHang;
    case ErrorCode::kUnavailable:
      return kExitPeer;
    case ErrorCode::kDiskFull:
      return kExitDiskFull;
    case ErrorCode::kAuth:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return kExitInternal;
  }
  return kExitInternal;
}

}  // namespace tutti::engine
