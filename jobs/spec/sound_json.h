// JSON text in which nothing is wrong, in one pass: the tree of tree.h without its places and texts
// as written, which serve messages alone. Free function, any thread.
#pragma once

#include <optional>
#include <string_view>

#include "jobs/spec/tree.h"

namespace tutti::spec {

// nullopt when anything is wrong: no JSON, a key twice, beyond the bounds of tree.h. json_text.h
// says what.
std::optional<Node> ReadSoundJson(std::string_view text);

}  // namespace tutti::spec
