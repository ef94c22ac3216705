// The worker as a training rank sees it: messages to it, and what it asks for. One object a rank.
#pragma once

#include "common/base/result.h"
#include "common/enginelink/messages.h"

namespace tutti::finetune {

// What the worker asked rank 0 for since the last look.
struct Control {
  bool stop = false;             // at the next step boundary
  bool stop_checkpoint = false;  // and write a checkpoint then
  bool checkpoint_now = false;   // and go on
};

class WorkerLink {
 public:
  virtual ~WorkerLink() = default;

  // Any thread. kUnavailable once the worker is gone. Beat and Progress may be dropped while the
  // worker does not read; the others wait for it, as long as it has its lease.
  virtual Status Send(const enginelink::ToWorker& message) = 0;
  // Never waits. Errors are Check's. The rank's thread.
  virtual Result<Control> Poll() = 0;
  // Whether the worker is there; never waits. kUnavailable once it is gone, kTimeout when it has
  // been silent for its lease. The rank's thread.
  virtual Status Check() = 0;
};

}  // namespace tutti::finetune
