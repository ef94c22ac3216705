// The fields that are no plain value: lists of reasons, hooks, input files, a schedule's arguments,
// a sweep. As read_value.h: false with a problem added when the node is something else.
#pragma once

#include <vector>

#include "jobs/spec/fields.h"
#include "jobs/spec/problems.h"
#include "jobs/spec/read_value.h"
#include "jobs/spec/spec.h"
#include "jobs/spec/sweep.h"

namespace tutti::spec {

bool ReadTargetModules(const Item& item, Problems& problems, LoraSpec& out);
// Notes in `draft` where each argument stands.
bool ReadSchedulerKwargs(const Item& item, Problems& problems, Draft& draft);
bool ReadRetryOn(const Item& item, Problems& problems, std::vector<RetryOn>& out);
bool ReadWebhooks(const Item& item, Problems& problems, std::vector<Webhook>& out);
bool ReadInputs(const Item& item, Problems& problems, Inputs& out);
// Everything but whether the values of `parameters` fit their fields; afterwards `parameters` is a
// mapping of known paths to lists that are not empty.
bool ReadSweepSection(const Item& item, Problems& problems, SweepSpec& out);

}  // namespace tutti::spec
