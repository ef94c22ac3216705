#include "jobs/spec/sweep.h"

#include "jobs/spec/name_table.h"

namespace tutti::spec {
namespace {

constexpr NameTable<SweepMethod, 3> kMethods = {
    {{SweepMethod::kGrid, "grid"}, {SweepMethod::kRandom, "random"}, {SweepMethod::kAsha, "asha"}}};
static_assert(IsInOrder(kMethods));
constexpr auto kMethodNames = NamesOf(kMethods);

constexpr NameTable<SweepMode, 2> kModes = {{{SweepMode::kMin, "min"}, {SweepMode::kMax, "max"}}};
static_assert(IsInOrder(kModes));
constexpr auto kModeNames = NamesOf(kModes);

}  // namespace

std::string_view ToString(SweepMethod method) { return NameIn(kMethods, method); }
std::string_view ToString(SweepMode mode) { return NameIn(kModes, mode); }
std::optional<SweepMethod> ParseSweepMethod(std::string_view text) {
  return ParseIn(kMethods, text);
}
std::optional<SweepMode> ParseSweepMode(std::string_view text) { return ParseIn(kModes, text); }
std::span<const std::string_view> SweepMethodNames() { return kMethodNames; }
std::span<const std::string_view> SweepModeNames() { return kModeNames; }

}  // namespace tutti::spec
