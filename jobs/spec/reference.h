// The table of fields for people, as docs/spec.md has it. Free function, any thread.
#pragma once

#include <string>

namespace tutti::spec {

// Markdown: a heading and a table for each section. Ends with a line end.
std::string FieldReference();

}  // namespace tutti::spec
