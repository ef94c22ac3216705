// From a resolved spec to what the scheduler needs to know of it. Pure functions.
#pragma once

#include <string>

#include "jobs/spec/spec.h"
#include "scheduler/core/request.h"

namespace tutti::coordinator {

core::JobRequest RequestOf(const spec::JobSpec& job, std::string user);
// "./models/bert-tiny/" → "bert-tiny", "org/name@main" → "name@main", "ft:…" as it is.
std::string BaseOf(std::string_view model);

}  // namespace tutti::coordinator
