// Fills in the defaults that depend on other fields, so that a job says everything itself. Free
// functions, any thread.
#pragma once

#include <string>
#include <vector>

#include "jobs/spec/fields.h"
#include "jobs/spec/problems.h"

namespace tutti::spec {

// Ranks, shards, the batch sizes (also from per_device_train_batch_size and
// gradient_accumulation_steps, where a contradiction is a problem) and the best model's metric.
// Rules over the outcome are validate.h's. `notes` says what won over what; in reading order.
void Resolve(Draft& draft, Problems& problems, std::vector<std::string>& notes);

// The smallest power of two that is at least `count`. REQUIRES: 1 <= count <= 2^62.
std::int64_t PowerOfTwoFrom(std::int64_t count);

}  // namespace tutti::spec
