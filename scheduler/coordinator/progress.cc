#include "scheduler/coordinator/progress.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/log.h"
#include "monitoring/history/history.h"
#include "monitoring/metrics/metrics.h"
#include "monitoring/tensorboard/event_files.h"
#include "scheduler/coordinator/durations.h"
#include "scheduler/coordinator/job_json.h"
#include "scheduler/core/throughput.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr Duration kMemoryEvery = std::chrono::seconds(10);

std::optional<metrics::Phase> PhaseOf(std::string_view name) {
  if (name == "data") return metrics::Phase::kData;
  if (name == "forward") return metrics::Phase::kForward;
  if (name == "backward") return metrics::Phase::kBackward;
  if (name == "reduce") return metrics::Phase::kReduce;
  if (name == "update") return metrics::Phase::kUpdate;
  if (name == "checkpoint") return metrics::Phase::kCheckpoint;
  return std::nullopt;
}

std::optional<metrics::ReducePath> ReducePathOf(std::string_view name) {
  if (name == "memory") return metrics::ReducePath::kMemory;
  if (name == "network") return metrics::ReducePath::kNetwork;
  return std::nullopt;
}

std::int64_t Grown(std::uint64_t from, std::uint64_t to) {
  return to > from ? static_cast<std::int64_t>(to - from) : 0;
}

// At least 1.
double StepsSince(const JobProgress& before, const enginelink::Progress& now) {
  const std::uint64_t last = before.progress ? before.progress->step : 0;
  return static_cast<double>(std::max<std::int64_t>(1, Grown(last, now.step)));
}

history::Sample CurveOf(const enginelink::Progress& progress, double steps) {
  history::Sample sample{.step = static_cast<std::int64_t>(progress.step),
                         .values = {{"loss", progress.loss},
                                    {"learning_rate", progress.learning_rate},
                                    {"grad_norm", progress.grad_norm},
                                    {"epoch", progress.epoch},
                                    {"tokens_per_second", progress.tokens_per_second},
                                    {"rows_per_second", progress.rows_per_second},
                                    {"step_seconds", progress.step_seconds}}};
  for (const auto& [name, seconds] : progress.phase_seconds) {
    sample.values.emplace_back("phase_seconds." + name, seconds / steps);
  }
  return sample;
}

history::Sample CurveOf(const enginelink::Eval& eval) {
  history::Sample sample{.step = static_cast<std::int64_t>(eval.step)};
  for (const auto& [name, value] : eval.metrics) sample.values.emplace_back("eval." + name, value);
  return sample;
}

// A trial is compared with the others by what it measured.
void ReportToSweep(Round& round, const core::Job& job, const enginelink::Eval& eval) {
  const auto value = eval.metrics.find(job.request.trial.metric);
  if (job.request.trial.method != "asha" || value == eval.metrics.end()) return;
  const auto decided = round.Step(core::ReportEval{job.id, job.attempt, eval.step, value->second});
  // While nothing can be written it comes again with the next evaluation.
  if (!decided) Log(kWarning, "rung_not_kept", {{"error", decided.error().ToString()}});
}

// One line of enginelink, or null.
template <typename Message>
std::string LineOf(const std::optional<Message>& message) {
  return message ? enginelink::Encode(enginelink::ToWorker(*message)) : "null";
}

template <typename Message>
std::optional<Message> MessageIn(const json& known, const char* name) {
  const auto found = known.find(name);
  if (found == known.end() || !found->is_object()) return std::nullopt;
  const auto decoded = enginelink::DecodeToWorker(found->dump());
  const auto* message = decoded ? std::get_if<Message>(&*decoded) : nullptr;
  return message == nullptr ? std::nullopt : std::optional<Message>(*message);
}

}  // namespace

// The curve, and the newest word as a whole.
void ProgressBoard::Keep(const core::Job& job, const JobProgress& known, history::Sample curve) {
  curve.subject = job.id.ToString();
  curve.at = WallNow();
  if (files_ != nullptr) KeepEvents(job, curve);
  if (history_ == nullptr) return;
  // The lines are JSON objects already.
  const std::string newest = "{\"attempt\":" + std::to_string(Number(known.attempt)) +
                             ",\"progress_at_ms\":" + std::to_string(known.progress_at.unix_ms) +
                             ",\"progress\":" + LineOf(known.progress) +
                             ",\"eval\":" + LineOf(known.eval) + "}";
  history_->Remember(curve.subject, newest);
  history_->Add(std::move(curve));
}

// In the history alone: they are too long for the newest word, which is written again and again.
void ProgressBoard::KeepSamples(const core::Job& job, enginelink::Eval& eval) {
  const std::vector<enginelink::EvalSample> samples = std::exchange(eval.samples, {});
  if (history_ == nullptr || samples.empty()) return;
  json list = json::array();
  for (const enginelink::EvalSample& sample : samples) {
    list.push_back({{"prompt", sample.prompt},
                    {"answer", sample.answer},
                    {"expected", sample.expected},
                    {"ended", sample.ended}});
  }
  history_->AddNote(job.id.ToString(),
                    {.step = static_cast<std::int64_t>(eval.step),
                     .at = WallNow(),
                     .text = list.dump(-1, ' ', false, json::error_handler_t::replace)});
}

void ProgressBoard::KeepEvents(const core::Job& job, const history::Sample& curve) {
  const auto [run, first] = runs_.try_emplace(job.id);
  if (first) {
    const json spec = json::parse(job.spec_json, nullptr, false);
    if (spec.is_object() && spec.value("tensorboard", false)) {
      run->second = job.request.name + "." + job.id.ToString();
      files_->Begin({.name = run->second,
                     .started = job.submitted_at,
                     .markdown = "```\n" + spec.dump(2) + "\n```\n"});
    }
  }
  if (run->second.empty()) return;
  tensorboard::Scalars scalars{.at = curve.at, .step = curve.step.value_or(0)};
  for (const auto& [name, value] : curve.values) {
    scalars.values.emplace_back(tensorboard::TagOf(name), value);
  }
  files_->Add(run->second, std::move(scalars));
}

void ProgressBoard::HearMemory(const core::Job& job, std::uint64_t bytes, Instant now) {
  if (history_ == nullptr || bytes == 0) return;
  Memory& memory = memory_[job.id];
  memory.bytes = std::max(memory.bytes, bytes);
  if (now < memory.next_point) return;
  const JobProgress* known = Of(job.id);
  history::Sample sample{.subject = job.id.ToString(),
                         .at = WallNow(),
                         .values = {{"memory_bytes", static_cast<double>(memory.bytes)}}};
  if (known != nullptr && known->progress) {
    sample.step = static_cast<std::int64_t>(known->progress->step);
  }
  history_->Add(std::move(sample));
  memory = {.next_point = now + kMemoryEvery};
}

void ProgressBoard::Forget(JobId job) {
  jobs_.erase(job);
  memory_.erase(job);
  runs_.erase(job);
  if (history_ != nullptr) history_->Forget(job.ToString());
  if (files_ != nullptr) files_->Remove("." + job.ToString());
}

void ProgressBoard::Restore(const core::Ledger& ledger) {
  if (history_ == nullptr) return;
  const auto texts = history_->Remembered();
  if (!texts) {
    Log(kWarning, "progress_not_restored", {{"error", texts.error().ToString()}});
    return;
  }
  for (const auto& [subject, text] : *texts) {
    const auto id = JobId::Parse(subject);
    const json newest = json::parse(text, nullptr, false);
    if (!id || core::FindJob(ledger, *id) == nullptr || !newest.is_object()) continue;
    JobProgress known;
    known.progress = MessageIn<enginelink::Progress>(newest, "progress");
    known.eval = MessageIn<enginelink::Eval>(newest, "eval");
    if (const auto attempt = newest.find("attempt");
        attempt != newest.end() && attempt->is_number_unsigned()) {
      known.attempt = Attempt{attempt->get<std::uint32_t>()};
    }
    if (const auto at = newest.find("progress_at_ms");
        at != newest.end() && at->is_number_integer()) {
      known.progress_at.unix_ms = at->get<std::int64_t>();
    }
    jobs_[*id] = std::move(known);
  }
}

const JobProgress* ProgressBoard::Of(JobId job) const {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? nullptr : &found->second;
}

Status ProgressBoard::Hear(Round& round, const core::Job& job, std::string_view line) {
  TUTTI_ASSIGN_OR_RETURN(enginelink::ToWorker message, enginelink::DecodeToWorker(line));
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
    const auto steps = StepsSince(known, *progress);
    known.progress = *progress;
    known.progress_at = WallNow();
    const core::Gang* gang = core::ActiveGang(job);
    round.Observe(core::ProgressSeen{.job = job.id,
                                     .attempt = job.attempt,
                                     .step = progress->step,
                                     .step_ms = 1000 * progress->step_seconds,
                                     .prior_step_ms = gang ? core::PriorStepMs(job, gang->size) : 0,
                                     .total_steps = progress->total_steps,
                                     .ending = core::EndingOf(round.state().ledger.learned)});
    Keep(job, known, CurveOf(*progress, steps));
    event.type = "progress";
    data.update(ProgressJson(*progress));
    data["rows_per_second"] = progress->rows_per_second;
    data["step_seconds"] = progress->step_seconds;
    data["phase_seconds"] = progress->phase_seconds;
  } else if (auto* eval = std::get_if<enginelink::Eval>(&message)) {
    data["samples"] = eval->samples.size();
    KeepSamples(job, *eval);
    known.eval = *eval;
    Keep(job, known, CurveOf(*eval));
    const auto loss = eval->metrics.find("loss");
    if (loss != eval->metrics.end()) metrics_.training.EvalLoss(job.id, loss->second);
    ReportToSweep(round, job, *eval);
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
  const double steps = StepsSince(before, now);
  for (const auto& [name, seconds] : now.phase_seconds) {
    if (const auto phase = PhaseOf(name)) {
      metrics_.training.PhaseTime(*phase, FromSeconds(seconds / steps));
    }
  }
  for (const auto& [name, bytes] : now.reduced_bytes) {
    const auto path = ReducePathOf(name);
    const auto seconds = now.reduced_seconds.find(name);
    if (!path || seconds == now.reduced_seconds.end()) continue;
    if (!(bytes >= 0 && bytes < 1e15 && seconds->second >= 0)) continue;
    metrics_.training.Reduced(*path, Bytes{static_cast<std::int64_t>(bytes)},
                              FromSeconds(std::clamp(seconds->second / steps, 0.0, 1e6)));
  }
}

}  // namespace tutti::coordinator
