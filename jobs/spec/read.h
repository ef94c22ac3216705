// The located tree to a Draft, through the table of fields: every value of the right kind and in
// its own range. Defaults that depend on other fields and rules across fields come later: resolve.h
// and validate.h. Free functions, any thread.
#pragma once

#include "jobs/spec/fields.h"
#include "jobs/spec/problems.h"
#include "jobs/spec/tree.h"

namespace tutti::spec {

enum class Form {
  kWritten,   // what a person writes
  kResolved,  // what ToJson writes: has `inputs`, no fields that only stand for others
};

// A problem for each unknown or missing field and each wrong value; the Draft holds the rest.
Draft ReadDraft(const Node& root, Form form, Problems& problems);

}  // namespace tutti::spec
