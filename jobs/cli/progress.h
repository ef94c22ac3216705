// A job's progress on one line: a bar that fits the terminal, or plain words. Pure functions of
// state and width.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tutti::cli {

struct ProgressState {
  std::string name{};
  std::string state{};   // "queued", "running", …
  std::string detail{};  // why it waits; "" when it runs
  std::optional<std::int64_t> step{};
  std::optional<std::int64_t> total_steps{};
  std::optional<double> loss{};
  std::optional<double> rows_per_second{};
  std::optional<double> eta_seconds{};
  std::string eval_name{};  // "accuracy"
  std::optional<double> eval_value{};
  double waited_seconds = 0;  // in this state
  int tick = 0;               // turns the spinner of a state without steps
};

struct ProgressStyle {
  int width = 80;  // columns; no line is wider
  bool color = false;
  bool unicode = true;
};

// "package-sections ━━━━━━━─────  42%  210/500  loss 1.31  512 rows/s  accuracy 0.731  ETA 0:32";
// before there are steps "⠹ package-sections  queued 12 s  resources: …". What doesn't fit is left
// out, least important first; never empty for a width of 10 or more.
std::string RenderBar(const ProgressState& state, const ProgressStyle& style);

// "package-sections: step 210/500 (42%), loss 1.31, 512 rows/s, accuracy 0.731, ETA 0:32".
std::string RenderLine(const ProgressState& state);

// Which plain lines are worth printing: one whenever another tenth is done or kLineEverySeconds
// passed.
class LinePacer {
 public:
  static constexpr double kLineEverySeconds = 10;
  bool Due(const ProgressState& state, double now_seconds);

 private:
  std::int64_t tenth_ = -1;
  double last_ = -1e9;
};

}  // namespace tutti::cli
