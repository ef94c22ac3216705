// How tutti-engine exits: the one list. docs/formats/enginelink.md shows it to people.
//
// The last line on the link (enginelink::Failed) says more; the code is for who has only that.
#pragma once

#include "common/base/result.h"

namespace tutti::engine {

enum ExitCode : int {
  kExitOk = 0,
  kExitInternal = 1,  // our own fault, or a parity case failed
  kExitUsage = 2,
  kExitData = 3,      // data, model or spec are wrong: trying again changes nothing
  kExitNumeric = 10,  // loss or gradient is NaN or infinite
  kExitOutOfMemory = 11,
  kExitDiskFull = 12,
  kExitPeer = 13,  // another rank died or gave up, or the worker is gone: not the cause
  kExitHang = 14,  // a peer did not reach a barrier within its deadline
  kExitGang = 15,  // MPI's world is not the gang of the plan
  kExitBlas = 16,  // the loaded BLAS is not OpenBLAS built on OpenMP
};

// A failure reason of SPEC.md for an error of a rank: "data", "oom", "disk_full", …
const char* ReasonOf(ErrorCode code);
ExitCode ExitCodeOf(ErrorCode code);

}  // namespace tutti::engine
