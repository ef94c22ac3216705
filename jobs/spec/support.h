// What the vocabulary has and this version does not build. One row a limit: building a feature
// means deleting its row. Free functions over a constant table, any thread.
#pragma once

#include <span>
#include <string_view>

#include "jobs/spec/fields.h"
#include "jobs/spec/problems.h"

namespace tutti::spec {

struct Limit {
  std::string_view path;     // of the field
  std::string_view instead;  // what to do: "supported: full"
  bool (*is_beyond)(const Draft&) = nullptr;
};

std::span<const Limit> Limits();

// A kUnsupported problem, "… is not supported yet", for each limit that the draft goes beyond.
void CheckSupport(const Draft& draft, Problems& problems);

}  // namespace tutti::spec
