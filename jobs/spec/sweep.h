// A sweep: one spec, many trials. Part of a sweep file, never of a job. Values.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tutti::spec {

enum class SweepMethod { kGrid, kRandom, kAsha };
enum class SweepMode { kMin, kMax };

struct SweepSpec {
  SweepMethod method = SweepMethod::kGrid;
  // Field path -> the values to try, as they would stand in a spec; in the order written.
  std::vector<std::pair<std::string, std::vector<nlohmann::json>>> parameters;
  std::optional<std::string> metric;  // resolved: none only where nothing is evaluated
  std::optional<SweepMode> mode;      // resolved: by the metric's nature, where there is one
  std::optional<std::int64_t> max_trials;

  bool operator==(const SweepSpec&) const = default;
};

std::string_view ToString(SweepMethod method);  // "grid"
std::string_view ToString(SweepMode mode);      // "min"
std::optional<SweepMethod> ParseSweepMethod(std::string_view text);
std::optional<SweepMode> ParseSweepMode(std::string_view text);
std::span<const std::string_view> SweepMethodNames();
std::span<const std::string_view> SweepModeNames();

}  // namespace tutti::spec
