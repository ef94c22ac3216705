#include "jobs/cli/progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "jobs/cli/console.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

constexpr int kBarMin = 10;
constexpr int kBarMax = 40;
constexpr std::array<const char*, 10> kSpinner = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
constexpr std::array<const char*, 4> kPlainSpinner = {"|", "/", "-", "\\"};

// 0 to 1; nullopt while the number of steps is unknown.
std::optional<double> Share(const ProgressState& state) {
  if (!state.step || !state.total_steps || *state.total_steps <= 0) return std::nullopt;
  return std::clamp(static_cast<double>(*state.step) / static_cast<double>(*state.total_steps), 0.0,
                    1.0);
}

std::string Percent(double share) {
  // 100 % only when all is done.
  return std::to_string(static_cast<int>(std::floor(share * 100))) + "%";
}

std::string Steps(const ProgressState& state) {
  return std::to_string(*state.step) + "/" + std::to_string(*state.total_steps);
}

std::string Speed(double rows_per_second) {
  return Number(rows_per_second, rows_per_second < 1000 ? 3 : 6) + " rows/s";
}

std::string Repeat(const char* text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::string Bar(double share, int width, const ProgressStyle& style) {
  const int filled = static_cast<int>(std::floor(share * width));
  const char* done = style.unicode ? "━" : "=";
  const char* rest = style.unicode ? "─" : "-";
  return Painted(Repeat(done, filled), share >= 1 ? Paint::kGreen : Paint::kCyan, style.color) +
         Painted(Repeat(rest, width - filled), Paint::kDim, style.color);
}

struct Part {
  std::string text;
  int keep;  // the lowest goes first
  Paint paint = Paint::kNone;
};

std::vector<Part> Figures(const ProgressState& state, double share) {
  std::vector<Part> parts = {{Percent(share), 10, Paint::kBold}, {Steps(state), 9}};
  if (state.loss) parts.push_back({"loss " + Number(*state.loss), 5});
  if (state.rows_per_second) parts.push_back({Speed(*state.rows_per_second), 3, Paint::kDim});
  if (state.eval_value) {
    parts.push_back({state.eval_name + " " + Number(*state.eval_value, 3), 6, Paint::kGreen});
  }
  if (!state.detail.empty()) {
    parts.push_back({state.state + ": " + OneLine(state.detail), 7, Paint::kYellow});
  } else if (state.state != "running" && !state.state.empty()) {
    parts.push_back({state.state, 7, Paint::kYellow});
  } else if (state.eta_seconds) {
    parts.push_back({"ETA " + ClockDuration(*state.eta_seconds), 8});
  }
  return parts;
}

int WidthOf(const std::vector<Part>& parts) {
  int width = 0;
  for (const Part& part : parts) width += DisplayWidth(part.text) + 2;
  return width;
}

std::string RenderWaiting(const ProgressState& state, const ProgressStyle& style) {
  const auto tick = static_cast<std::size_t>(state.tick);
  const std::string spinner =
      style.unicode ? kSpinner[tick % kSpinner.size()] : kPlainSpinner[tick % kPlainSpinner.size()];
  std::string text = OneLine(state.name) + "  " + state.state;
  if (state.waited_seconds >= 1) text += " " + RoughDuration(state.waited_seconds);
  if (!state.detail.empty()) text += "  " + OneLine(state.detail);
  return Painted(spinner, Paint::kCyan, style.color) + " " + Fit(text, style.width - 2);
}

}  // namespace

std::string RenderBar(const ProgressState& state, const ProgressStyle& style) {
  const auto share = Share(state);
  if (!share) return RenderWaiting(state, style);
  std::vector<Part> parts = Figures(state, *share);
  const std::string name = OneLine(state.name);
  bool with_name = true;
  const auto left = [&] {
    return style.width - WidthOf(parts) - (with_name ? DisplayWidth(name) + 1 : 0);
  };
  while (left() < kBarMin) {
    if (with_name) {
      with_name = false;
      continue;
    }
    if (parts.size() == 1) break;
    parts.erase(std::min_element(parts.begin(), parts.end(),
                                 [](const Part& a, const Part& b) { return a.keep < b.keep; }));
  }
  std::string out = with_name ? Painted(name, Paint::kBold, style.color) + " " : "";
  const int bar = std::min(kBarMax, left());
  std::string gap;
  if (bar > 0) {
    out += Bar(*share, bar, style);
    gap = "  ";
  }
  for (const Part& part : parts) {
    out += gap + Painted(part.text, part.paint, style.color);
    gap = "  ";
  }
  return out;
}

std::string RenderLine(const ProgressState& state) {
  const auto share = Share(state);
  const std::string name = OneLine(state.name);
  if (!share) {
    return name + ": " + state.state + (state.detail.empty() ? "" : ", " + OneLine(state.detail));
  }
  std::string out = name + ": step " + Steps(state) + " (" + Percent(*share) + ")";
  if (state.loss) out += ", loss " + Number(*state.loss);
  if (state.rows_per_second) out += ", " + Speed(*state.rows_per_second);
  if (state.eval_value) out += ", " + state.eval_name + " " + Number(*state.eval_value, 3);
  if (state.eta_seconds) out += ", ETA " + ClockDuration(*state.eta_seconds);
  return out;
}

bool LinePacer::Due(const ProgressState& state, double now_seconds) {
  const auto share = Share(state);
  if (!share) return false;
  const auto tenth = static_cast<std::int64_t>(std::floor(*share * 10));
  if (tenth == tenth_ && now_seconds - last_ < kLineEverySeconds) return false;
  tenth_ = tenth;
  last_ = now_seconds;
  return true;
}

}  // namespace tutti::cli
