// What `training.lr_scheduler_kwargs` may hold for each schedule, by Transformers' get_scheduler.
// Free function, any thread.
#pragma once

#include "jobs/spec/fields.h"
#include "jobs/spec/problems.h"

namespace tutti::spec {

// A problem for each argument that the schedule does not take, has the wrong kind or contradicts
// another, and for each that it needs. REQUIRES: lr_scheduler_type and its arguments could be read.
void CheckScheduleKwargs(const Draft& draft, Problems& problems);

}  // namespace tutti::spec
