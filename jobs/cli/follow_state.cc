#include "jobs/cli/follow_state.h"

#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"
#include "jobs/spec/states.h"

namespace tutti::cli {

using nlohmann::json;

bool IsFinalState(std::string_view state) {
  const auto parsed = spec::ParseJobState(state);
  return parsed && spec::IsTerminal(*parsed);
}

bool IsFinalEvent(std::string_view type) { return IsFinalState(type) || type == "rejected"; }

void FollowState::TakeProgress(const json& from) {
  const auto take = [&](const char* pointer, auto& into, auto read) {
    if (const auto value = read(from, pointer)) into = value;
  };
  take("/step", progress_.step, IntAt);
  take("/total_steps", progress_.total_steps, IntAt);
  take("/loss", progress_.loss, NumberAt);
  take("/rows_per_second", progress_.rows_per_second, NumberAt);
  take("/eta_seconds", progress_.eta_seconds, NumberAt);
}

void FollowState::TakeMetrics(const json& metrics) {
  const std::string name = MainMetric(metrics);
  if (name.empty()) return;
  progress_.eval_name = name == "loss" ? "eval loss" : name;
  progress_.eval_value = metrics[name].get<double>();
}

void FollowState::TakeJob(const json& job, WallTime now) {
  job_ = job;
  progress_.name = TextAt(job, "/name");
  progress_.state = TextAt(job, "/state");
  progress_.detail.clear();
  if (progress_.state != "running") {
    const std::string reason = TextAt(job, "/reason");
    const std::string message = TextAt(job, "/message");
    progress_.detail = reason + (reason.empty() || message.empty() ? "" : ": ") + message;
  }
  if (const auto since = ParseRfc3339(TextAt(job, "/since"))) {
    progress_.waited_seconds = static_cast<double>(now.unix_ms - since->unix_ms) / 1000;
  }
  // Events are newer than the object's picture of the same step.
  const auto step = IntAt(job, "/progress/step");
  if (step && (!progress_.step || *step > *progress_.step)) TakeProgress(At(job, "/progress"));
  if (!progress_.total_steps) progress_.total_steps = IntAt(job, "/estimate/total_steps");
  if (!progress_.eval_value) TakeMetrics(At(job, "/eval"));
  if (IsFinalState(progress_.state)) finished_ = true;
}

std::optional<std::string> FollowState::TakeEvent(const json& event) {
  const std::string type = TextAt(event, "/type");
  if (type == "progress") {
    TakeProgress(event);
    progress_.state = "running";
    progress_.detail.clear();
    return std::nullopt;
  }
  if (type == "eval") TakeMetrics(At(event, "/metrics"));
  if (type == "started") progress_.state = "running";
  if (type == "placed") progress_.state = "starting";
  if (type == "started" || type == "placed") progress_.detail.clear();
  if (type == "attempt_failed" || type == "released") {
    progress_.rows_per_second.reset();
    progress_.eta_seconds.reset();
    // The next attempt starts again from its checkpoint.
    progress_.step = IntAt(event, "/step");
  }
  if (IsFinalEvent(type)) {
    finished_ = true;
    return std::nullopt;  // the summary says it
  }
  if (type == "submitted") return std::nullopt;
  return EventText(event);
}

std::string FollowState::WaitingText() const {
  if (progress_.state == "running" || progress_.state.empty()) return {};
  return progress_.state + (progress_.detail.empty() ? "" : ": " + OneLine(progress_.detail));
}

std::string FollowState::Summary(bool color) const {
  const std::string state = TextAt(job_, "/state");
  const std::string name = OneLine(TextAt(job_, "/name"));
  const std::string id = TextAt(job_, "/id");
  std::string out = Painted(name + " " + state, PaintOfState(state), color);
  const auto start = ParseRfc3339(TextAt(job_, "/submitted_at"));
  auto end = ParseRfc3339(TextAt(job_, "/finished_at"));
  if (!end) end = ParseRfc3339(TextAt(job_, "/since"));
  if (start && end && end->unix_ms >= start->unix_ms) {
    out += " after " + RoughDuration(static_cast<double>(end->unix_ms - start->unix_ms) / 1000);
  }
  const std::string reason = TextAt(job_, "/reason");
  const std::string message = OneLine(TextAt(job_, "/message"));
  if (state != "succeeded" && !reason.empty()) out += ": " + reason;
  out += "\n";
  std::vector<std::pair<std::string, std::string>> fields;
  if (state == "succeeded") {
    const std::string classify = TextAt(job_, "/task") == "text-classification"
                                     ? "tutti model try " + name + " \"TEXT\""
                                     : "";
    fields = {{"model", TextAt(job_, "/result/model")},
              {"path", TextAt(job_, "/result/path")},
              {"digest", TextAt(job_, "/result/digest")},
              {"metrics", MetricsText(At(job_, "/result/metrics"))},
              {"try it", classify},
              {"take it along", "tutti model export " + name + " DIR"}};
  } else {
    const bool ran = !ListAt(job_, "/attempts").empty();
    fields = {{"why", message},
              {"output", ran ? "tutti logs " + id : ""},
              {"details", "tutti show " + id}};
  }
  return out + RenderFields(fields, color);
}

}  // namespace tutti::cli
