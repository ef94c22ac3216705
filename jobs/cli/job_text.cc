#include "jobs/cli/job_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "common/base/units.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

std::string BytesAt(const json& value, const char* pointer) {
  const auto count = IntAt(value, pointer);
  return count ? FormatBytes(Bytes{*count}) : std::string();
}

std::string CountAt(const json& value, const char* pointer) {
  const auto count = IntAt(value, pointer);
  return count ? Count(*count) : std::string();
}

std::string Joined(const json& list) {
  std::string out;
  for (const json& item : list) {
    out += (out.empty() ? "" : ", ") +
           OneLine(item.is_string() ? item.get<std::string>() : Dump(item));
  }
  return out;
}

std::string WithAge(const std::string& time, WallTime now) {
  const std::string age = Age(time, now);
  return age.empty() ? time : time + "  (" + age + " ago)";
}

std::string StateText(const json& job, bool color) {
  const std::string state = TextAt(job, "/state");
  std::string text = Painted(state, PaintOfState(state), color);
  if (const std::string reason = TextAt(job, "/reason"); !reason.empty()) text += ": " + reason;
  return text;
}

std::string ProgressText(const json& job) {
  std::string text = StepsText(job);
  const auto add = [&](const char* pointer, const std::string& before, const std::string& after) {
    if (const auto value = NumberAt(job, pointer)) text += ", " + before + Number(*value) + after;
  };
  if (text.empty()) return text;
  add("/progress/epoch", "epoch ", "");
  add("/progress/loss", "loss ", "");
  add("/progress/tokens_per_second", "", " tokens/s");
  if (const auto eta = NumberAt(job, "/progress/eta_seconds"))
    text += ", ETA " + ClockDuration(*eta);
  return text;
}

std::string StalledText(const json& job, bool color) {
  std::string text;
  for (const json& stall : ListAt(job, "/stalled")) {
    text += (text.empty() ? "" : "; ") + OneLine(TextAt(stall, "/message"));
  }
  return text.empty() ? text : Painted(text, Paint::kRed, color);
}

std::string StragglerText(const json& job) {
  if (!At(job, "/straggler").is_object()) return {};
  const auto number = [&](const char* pointer) {
    return Number(NumberAt(job, pointer).value_or(0) * 1000) + " ms";
  };
  return "rank " + TextAt(job, "/straggler/rank") + " on worker " +
         TextAt(job, "/straggler/worker") + " computes " + number("/straggler/compute_seconds") +
         " a step, the median rank " + number("/straggler/median_seconds");
}

// "about 12 min", or "" where it is not known.
std::string AboutAt(const json& object, const char* pointer) {
  const auto seconds = NumberAt(object, pointer);
  return seconds ? "about " + RoughDuration(*seconds) : std::string();
}

std::string EstimateText(const json& job) {
  std::string text;
  const auto add = [&](const std::string& value, const std::string& after) {
    if (!value.empty()) text += (text.empty() ? "" : ", ") + value + after;
  };
  add(CountAt(job, "/estimate/rows"), " rows");
  add(CountAt(job, "/estimate/tokens"), " tokens");
  add(CountAt(job, "/estimate/total_steps"), " steps");
  add(AboutAt(job, "/estimate/training_seconds"), "");
  add(BytesAt(job, "/estimate/memory_bytes_per_rank"), " a rank");
  add(BytesAt(job, "/estimate/disk_bytes"), " disk");
  return text;
}

std::string TimeUntil(const std::string& time, WallTime now) {
  const auto then = ParseRfc3339(time);
  if (!then) return {};
  const double seconds = static_cast<double>(then->unix_ms - now.unix_ms) / 1000;
  return seconds <= 0 ? "now" : "in " + RoughDuration(seconds);
}

// "start in 5 min", "end in 2 h".
std::string ExpectedText(const json& job, WallTime now) {
  const std::string start = TimeUntil(TextAt(job, "/estimate/start_at"), now);
  if (!start.empty()) return "start " + start;
  const std::string end = TimeUntil(TextAt(job, "/estimate/end_at"), now);
  return end.empty() ? end : "end " + end;
}

// "in 5 min (between 3 min and 9 min; 2026-…)".
std::string ExpectedWithInterval(const json& job, const std::string& pointer, WallTime now) {
  const std::string at = TextAt(job, pointer.c_str());
  if (at.empty()) return {};
  const auto seconds = [&](const char* suffix) {
    const auto then = ParseRfc3339(TextAt(job, (pointer + suffix).c_str()));
    return then ? static_cast<double>(then->unix_ms - now.unix_ms) / 1000 : 0.0;
  };
  const double low = std::max(0.0, seconds("_earliest"));
  const double high = std::max(0.0, seconds("_latest"));
  std::string interval;
  if (high > low && RoughDuration(low) != RoughDuration(high)) {
    interval = "between " + RoughDuration(low) + " and " + RoughDuration(high) + "; ";
  }
  return TimeUntil(at, now) + " (" + interval + at + ")";
}

std::string SweepText(const json& job) {
  if (!At(job, "/sweep").is_object()) return {};
  return TextAt(job, "/sweep/id") + ", trial " + TextAt(job, "/sweep/trial") + ": " +
         OneLine(Dump(At(job, "/sweep/parameters")));
}

std::string AttemptsTable(const json& job, WallTime now, int width, bool color) {
  std::vector<Row> rows;
  for (const json& attempt : ListAt(job, "/attempts")) {
    const std::string ended = TextAt(attempt, "/ended_at");
    const std::string reason = TextAt(attempt, "/reason");
    const std::string message = OneLine(TextAt(attempt, "/message"));
    rows.push_back({TextAt(attempt, "/attempt"), TextAt(attempt, "/ranks"),
                    Joined(ListAt(attempt, "/workers")), TextAt(attempt, "/from_step"),
                    TextAt(attempt, "/started_at"),
                    ended.empty() ? Cell("running", Paint::kGreen) : Cell(Age(ended, now) + " ago"),
                    message.empty() ? reason : reason + ": " + message});
  }
  if (rows.empty()) return {};
  return "\n" + RenderTable({{"ATTEMPT", true},
                             {"RANKS", true},
                             {"WORKERS", false, 8},
                             {"FROM STEP", true},
                             {"STARTED", false, 0, 1},
                             {"ENDED"},
                             {"REASON", false, 8, 2}},
                            rows, width, color);
}

std::string CheckpointsTable(const json& job, WallTime now, int width, bool color) {
  std::vector<Row> rows;
  for (const json& checkpoint : ListAt(job, "/checkpoints")) {
    rows.push_back({TextAt(checkpoint, "/step"),
                    Age(TextAt(checkpoint, "/committed_at"), now) + " ago",
                    TextAt(checkpoint, "/path")});
  }
  if (rows.empty()) return {};
  return "\n" + RenderTable({{"CHECKPOINT", true}, {"COMMITTED"}, {"PATH", false, 20}}, rows, width,
                            color);
}

}  // namespace

Paint PaintOfState(std::string_view state) {
  if (state == "running" || state == "succeeded") return Paint::kGreen;
  if (state == "failed") return Paint::kRed;
  if (state == "cancelled") return Paint::kDim;
  if (state == "validating" || state == "queued" || state == "starting") return Paint::kCyan;
  return Paint::kYellow;
}

std::string StartText(const json& job, WallTime now) {
  if (!At(job, "/pending").is_object()) return {};
  const std::string at = TextAt(job, "/estimate/start_at");
  if (at.empty()) return "not known: nothing says when what runs before it ends";
  return ExpectedWithInterval(job, "/estimate/start_at", now);
}

std::string EndText(const json& job, WallTime now) {
  return ExpectedWithInterval(job, "/estimate/end_at", now);
}

std::string HelpsText(const json& job) {
  std::string text;
  for (const json& each : ListAt(job, "/pending/would_help")) {
    if (each.is_string()) text += (text.empty() ? "" : "; or ") + OneLine(each.get<std::string>());
  }
  return text;
}

std::string RanksText(const json& job) {
  const std::string min = TextAt(job, "/ranks/min");
  const std::string max = TextAt(job, "/ranks/max");
  const std::string wanted = min == max ? min : min + "-" + max;
  const std::string current = TextAt(job, "/ranks/current");
  if (current.empty() || current == wanted) return wanted;
  return current + " of " + wanted;
}

std::string StepsText(const json& job) {
  const auto step = IntAt(job, "/progress/step");
  if (!step) return {};
  auto total = IntAt(job, "/progress/total_steps");
  if (!total) total = IntAt(job, "/estimate/total_steps");
  if (!total || *total <= 0) return std::to_string(*step);
  const double share = static_cast<double>(*step) / static_cast<double>(*total);
  return std::to_string(*step) + "/" + std::to_string(*total) + " " +
         std::to_string(static_cast<int>(std::floor(share * 100))) + "%";
}

std::string MainMetric(const json& metrics) {
  for (const char* name : {"accuracy", "rewards/accuracies", "bleu", "rougeL", "rouge1",
                           "token_accuracy", "perplexity", "loss"}) {
    if (metrics.is_object() && metrics.contains(name) && metrics[name].is_number()) return name;
  }
  return {};
}

std::string MetricsText(const json& metrics) {
  std::string out;
  if (!metrics.is_object()) return out;
  for (const auto& [name, value] : metrics.items()) {
    if (!value.is_number() || name == "step") continue;
    out += (out.empty() ? "" : ", ") + OneLine(name) + " " + Number(value.get<double>());
  }
  return out;
}

std::string RenderJobs(const json& jobs, WallTime now, int width, bool color) {
  std::vector<Row> rows;
  for (const json& job : jobs) {
    const std::string state = TextAt(job, "/state");
    const std::string reason = TextAt(job, "/reason");
    rows.push_back({TextAt(job, "/id"), OneLine(TextAt(job, "/name")),
                    Cell(reason.empty() ? state : state + ": " + reason, PaintOfState(state)),
                    StepsText(job), ExpectedText(job, now), RanksText(job), TextAt(job, "/queue"),
                    TextAt(job, "/priority"), Age(TextAt(job, "/submitted_at"), now)});
  }
  return RenderTable({{"JOB"},
                      {"NAME", false, 12},
                      {"STATE", false, 10},
                      {"STEP", false, 0, 5},
                      {"EXPECTED", false, 0, 2},
                      {"RANKS", false, 0, 3},
                      {"QUEUE", false, 0, 1},
                      {"PRIO", true, 0, 2},
                      {"AGE", true, 0, 4}},
                     rows, width, color);
}

namespace {

// "1.250 slot-hours, 0.500 GPU-hours".
std::string UsedText(const json& job) {
  std::string text;
  for (const auto& [field, unit] :
       {std::pair{"/used/slot_hours", " slot-hours"}, std::pair{"/used/gpu_hours", " GPU-hours"}}) {
    const double hours = NumberAt(job, field).value_or(0);
    if (hours <= 0) continue;
    char number[32];
    std::snprintf(number, sizeof number, "%.3f", hours);
    text += (text.empty() ? "" : ", ") + std::string(number) + unit;
  }
  return text;
}

}  // namespace

std::string RenderJob(const json& job, WallTime now, int width, bool color) {
  std::string out = RenderFields(
      {{"job", Painted(TextAt(job, "/id"), Paint::kBold, color)},
       {"name", OneLine(TextAt(job, "/name"))},
       {"state", StateText(job, color)},
       {"", OneLine(TextAt(job, "/message"))},
       {"since", WithAge(TextAt(job, "/since"), now)},
       {"submitted", WithAge(TextAt(job, "/submitted_at"), now)},
       {"finished", TextAt(job, "/finished_at")},
       {"user", TextAt(job, "/user")},
       {"task", TextAt(job, "/task")},
       {"model", OneLine(TextAt(job, "/model"))},
       {"queue", TextAt(job, "/queue") + ", priority " + TextAt(job, "/priority")},
       {"ranks", RanksText(job)},
       {"progress", ProgressText(job)},
       {"stalled", StalledText(job, color)},
       {"slow", StragglerText(job)},
       {"evaluation", At(job, "/eval").is_object()
                          ? MetricsText(At(job, "/eval")) + " at step " + TextAt(job, "/eval/step")
                          : std::string()},
       {"starts", StartText(job, now)},
       {"ends", EndText(job, now)},
       {"depends on", Joined(ListAt(job, "/depends_on"))},
       {"sweep", SweepText(job)},
       {"estimate", EstimateText(job)},
       {"warnings", Joined(ListAt(job, "/estimate/warnings"))},
       {"memory", BytesAt(job, "/measured/memory_bytes_peak").empty()
                      ? std::string()
                      : BytesAt(job, "/measured/memory_bytes_peak") + " a rank at most"},
       {"used", UsedText(job)}},
      color);
  if (At(job, "/result").is_object()) {
    out += "\n" + RenderFields({{"result", TextAt(job, "/result/model")},
                                {"path", TextAt(job, "/result/path")},
                                {"digest", TextAt(job, "/result/digest")},
                                {"metrics", MetricsText(At(job, "/result/metrics"))}},
                               color);
  }
  out += AttemptsTable(job, now, width, color);
  out += CheckpointsTable(job, now, width, color);
  return out;
}

std::string EventText(const json& event) {
  const std::string type = TextAt(event, "/type");
  const std::string attempt = TextAt(event, "/attempt");
  const std::string step = TextAt(event, "/step");
  const std::string reason = TextAt(event, "/reason");
  const std::string message = OneLine(TextAt(event, "/message"));
  const std::string why = reason + (reason.empty() || message.empty() ? "" : ": ") + message;
  const std::string ranks = TextAt(event, "/ranks");
  if (type == "placed") {
    return "attempt " + attempt + " placed: " + ranks +
           (ranks == "1" ? " rank on " : " ranks on ") + Joined(ListAt(event, "/workers"));
  }
  if (type == "started") {
    const std::string from = TextAt(event, "/from_step");
    return "attempt " + attempt + " started" +
           (from.empty() || from == "0" ? "" : " from step " + from);
  }
  if (type == "checkpoint") return "checkpoint at step " + step;
  if (type == "eval") {
    return "evaluation at step " + step + ": " + MetricsText(At(event, "/metrics")) +
           (At(event, "/best") == json(true) ? " (best)" : "");
  }
  if (type == "attempt_failed") {
    return "attempt " + attempt + " failed at step " + step + ": " + why;
  }
  if (type == "released") return "attempt " + attempt + " stopped at step " + step + ": " + why;
  if (type == "stop_requested") return "attempt " + attempt + " is asked to stop: " + why;
  if (type == "succeeded") return "succeeded: " + MetricsText(At(event, "/metrics"));
  if (type == "admitted") return "admitted: " + EstimateText(event);
  if (type == "rejected") {
    const std::string where = OneLine(TextAt(event, "/where"));
    return "rejected: " + (where.empty() ? "" : where + ": ") + why;
  }
  if (type == "progress") {
    return "step " + step + "/" + TextAt(event, "/total_steps") + ", loss " +
           TextAt(event, "/loss");
  }
  if (type == "warning") return "warning: " + message;
  std::string out = type;
  for (const auto& [key, value] : event.items()) {
    if (key == "type" || key == "seq" || key == "job" || key == "at" || value.is_null()) continue;
    out += " " + key + "=" + OneLine(value.is_string() ? value.get<std::string>() : Dump(value));
  }
  return out;
}

// Rows as the model will read them. What it learns to write is green; without colour it stands in
// ⟦ ⟧.
std::string RenderExamples(const json& report, bool color) {
  const json& examples = ListAt(report, "/examples");
  if (examples.empty()) return {};
  std::string out = "\nfirst rows (format " + TextAt(report, "/format") + "; " +
                    (color ? Painted("trained", Paint::kGreen, color) : "⟦trained⟧") +
                    ", the rest is context)\n";
  const bool pairs = TextAt(report, "/format") == "preference";
  std::size_t number = 0;
  for (const json& pieces : examples) {
    std::string text;
    for (const json& piece : pieces) {
      const bool trained = At(piece, "/weight").is_number() && At(piece, "/weight") > 0;
      const std::string part = Lines(TextAt(piece, "/text"));
      text += !trained ? Painted(part, Paint::kDim, color)
              : color  ? Painted(part, Paint::kGreen, color)
                       : "⟦" + part + "⟧";
    }
    std::string title = std::to_string(pairs ? number / 2 + 1 : number + 1);
    if (pairs) title += number % 2 == 0 ? ", chosen" : ", rejected";
    ++number;
    out += "--- " + title + "\n" + text + "\n";
  }
  return out;
}

std::string RenderInspection(const json& answer, bool color) {
  const json& estimate = At(answer, "/estimate");
  const json& report = At(answer, "/report");
  std::string out =
      RenderFields({{"rows", CountAt(estimate, "/rows")},
                    {"eval rows", CountAt(report, "/estimate/eval_rows")},
                    {"tokens", CountAt(estimate, "/tokens")},
                    {"parameters", CountAt(report, "/estimate/parameters")},
                    {"steps", CountAt(estimate, "/total_steps")},
                    {"memory", BytesAt(estimate, "/memory_bytes_per_rank").empty()
                                   ? std::string()
                                   : BytesAt(estimate, "/memory_bytes_per_rank") + " a rank"},
                    {"disk", BytesAt(estimate, "/disk_bytes")},
                    {"training", AboutAt(estimate, "/training_seconds")},
                    {"start", TextAt(estimate, "/start_at")},
                    {"end", TextAt(estimate, "/end_at")},
                    {"labels", Joined(ListAt(report, "/labels"))}},
                   color);
  const json& histogram = ListAt(report, "/length_histogram");
  std::int64_t most = 1;
  for (const json& bin : histogram) most = std::max(most, IntAt(bin, "/rows").value_or(0));
  std::vector<Row> rows;
  for (const json& bin : histogram) {
    const std::int64_t count = IntAt(bin, "/rows").value_or(0);
    std::string bar;
    for (std::int64_t i = 0; i < (count * 30 + most - 1) / most; ++i) bar += "▇";
    rows.push_back({TextAt(bin, "/up_to"), Count(count), Cell(bar, Paint::kCyan)});
  }
  if (!rows.empty()) {
    out += "\n" + RenderTable({{"TOKENS UP TO", true}, {"ROWS", true}, {""}}, rows, 0, color);
  }
  return out + RenderExamples(report, color);
}

}  // namespace tutti::cli
