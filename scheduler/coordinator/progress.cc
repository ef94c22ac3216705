#include "scheduler/coordinator/progress.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/log.h"
#include "monitoring/metrics/metrics.h"
#include "scheduler/coordinator/durations.h"
#include "scheduler/coordinator/job_json.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

std::optional<metrics::Phase> PhaseOf(std::string_view name) {
  if (name == "data") return metrics::Phase::kData;
  if (name == "forward") return metrics::Phase::kForward;
  if (name == "backward") return metrics::Phase::kBackward;
  if (name == "reduce") return metrics::Phase::kReduce;
  if (name == "update") return metrics::Phase::kUpdate;
  if (name == "checkpoint") return metrics::Phase::kCheckpoint;
  return std::nullopt;
}

std::int64_t Grown(std::uint64_t from, std::uint64_t to) {
  return to > from ? static_cast<std::int64_t>(to - from) : 0;
}

}  // namespace

const JobProgress* ProgressBoard::Of(JobId job) const {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? nullptr : &found->second;
}

Status ProgressBoard::Hear(Round& round, const core::Job& job, std::string_view line) {
  TUTTI_ASSIGN_OR_RETURN(const enginelink::ToWorker message, enginelink::DecodeToWorker(line));
  JobProgress& known = jobs_[job.id];
  if (known.attempt != job.attempt) {
    known.attempt = job.attempt;
    // Counters start anew; what was shown stays until there is something newer.
    if (known.progress) known.progress->tokens_total = known.progress->samples_total = 0;
  }
  http::Event event{.job = job.id.ToString()};
  json data = {{"job", event.job}, {"at", WallNow().ToRfc3339()}, {"attempt", Number(job.attempt)}};
  if (const auto* progress = std::get_if<enginelink::Progress>(&message)) {
    Measure(job, known, *progress);
    known.progress = *progress;
    event.type = "progress";
    data.update(ProgressJson(*progress));
    data["rows_per_second"] = progress->rows_per_second;
    data["step_seconds"] = progress->step_seconds;
    data["phase_seconds"] = progress->phase_seconds;
  } else if (const auto* eval = std::get_if<enginelink::Eval>(&message)) {
    known.eval = *eval;
    const auto loss = eval->metrics.find("loss");
    if (loss != eval->metrics.end()) metrics_.training.EvalLoss(job.id, loss->second);
    event.type = "eval";
    data.update({{"step", eval->step}, {"metrics", eval->metrics}, {"best", eval->best}});
  } else if (const auto* warning = std::get_if<enginelink::Warning>(&message)) {
    event.type = "warning";
    data["message"] = warning->message;
    if (warning->code) data["code"] = *warning->code;
    Log(kWarning, "job_warning",
        {{"job", event.job}, {"attempt", Number(job.attempt)}, {"message", warning->message}});
    event.key = "warning " + event.job + " " + warning->message;
  } else {
    return Fail(ErrorCode::kInvalid, "is no progress, eval or warning");
  }
  data["type"] = event.type;
  event.data = data.dump(-1, ' ', false, json::error_handler_t::replace);
  round.After([this, event = std::move(event)](const Status& stored) {
    if (stored) events_.Publish(event);
  });
  return {};
}

void ProgressBoard::Measure(const core::Job& job, const JobProgress& before,
                            const enginelink::Progress& now) {
  const auto last = before.progress.value_or(enginelink::Progress{});
  metrics_.training.Progress(job.id,
                             {.step = static_cast<std::int64_t>(now.step),
                              .total_steps = static_cast<std::int64_t>(now.total_steps),
                              .loss = now.loss,
                              .learning_rate = now.learning_rate,
                              .gradient_norm = now.grad_norm,
                              .tokens_since_last = Grown(last.tokens_total, now.tokens_total),
                              .rows_since_last = Grown(last.samples_total, now.samples_total)});
  if (now.step_seconds > 0) {
    metrics_.training.StepTime(job.request.task, FromSeconds(now.step_seconds));
  }
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, Grown(last.step, now.step)));
  for (const auto& [name, seconds] : now.phase_seconds) {
    if (const auto phase = PhaseOf(name)) {
      metrics_.training.PhaseTime(*phase, FromSeconds(seconds / steps));
    }
  }
}

}  // namespace tutti::coordinator
