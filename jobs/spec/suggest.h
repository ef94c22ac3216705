// Did-you-mean: the known word nearest to a mistyped one. Free functions, no state.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::spec {

// Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, substitutions
// and swaps of neighbours count 1 each. Words beyond 64 characters are compared by their first 64.
std::size_t EditDistance(std::string_view a, std::string_view b);

// The nearest of `known`, ignoring case and '-' against '_'; empty when none is nearer than a third
// of the longer word's length (at least 1). The first wins a tie.
std::string_view Nearest(std::string_view word, std::span<const std::string_view> known);

// "did you mean X?", else "one of A, B, C" for up to twelve known words, else empty.
std::string Suggestion(std::string_view word, std::span<const std::string_view> known);

// "'text'" with control characters (and all of what is no UTF-8) escaped, cut after 60 bytes on a
// character's border.
std::string Quoted(std::string_view text);

}  // namespace tutti::spec
