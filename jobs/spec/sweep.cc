#include "jobs/spec/sweep.h"

#include "jobs/spec/name_table.h"

namespace tutti::spec {
namespace {

constexpr NameTable<SweepMethod, 3> kMethods = {
    {{SweepMethod::kGrid, "grid"}, {SweepMethod::kRandom, "random"}, {SweepMethod::kAsha, "asha"}}};
static_assert(IsInOrder(kMethods));
constexpr auto kMethodNames = NamesOf(kMethods);

constexpr NameTable<SweepMode, 2> kSweepModes = {
    {{SweepMode::kMin, "min"}, {SweepMode::kMax, "max"}}};
static_assert(IsInOrder(kSweepModes));
constexpr auto kSweepModeNames = NamesOf(kSweepModes);

}  // namespace

std::string_view ToString(SweepMethod method) { return NameIn(kMethods, method); }
std::string_view ToString(SweepMode mode) { return NameIn(kSweepModes, mode); }
std::optional<SweepMethod> ParseSweepMethod(std::string_view text) {
  return ParseIn(kMethods, text);
}
std::optional<SweepMode> ParseSweepMode(std::string_view text) {
  return ParseIn(kSweepModes, text);
}
std::span<const std::string_view> SweepMethodNames() { return kMethodNames; }
std::span<const std::string_view> SweepModeNames() { return kSweepModeNames; }

}  // namespace tutti::spec
