// The rules of a spec that go beyond one value's kind and range. Free function, any thread.
#pragma once

#include "jobs/spec/fields.h"
#include "jobs/spec/problems.h"

namespace tutti::spec {

// A problem for each rule that the resolved draft breaks, where the field stands; rules about
// fields that could not be read are left out.
void Validate(const Draft& draft, Problems& problems);

}  // namespace tutti::spec
