#include "worker/finetune/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "common/base/check.h"

namespace tutti::finetune {
namespace {

using train::Phase;

// Rank 0's word of a step.
constexpr std::uint64_t kStop = 1;
constexpr std::uint64_t kStopWithCheckpoint = 2;
constexpr std::uint64_t kCheckpointNow = 4;

constexpr auto kBeatEvery = std::chrono::milliseconds(500);  // in long phases
constexpr auto kWaitTold = std::chrono::milliseconds(200);   // again, while others are waited for

bool AllFinite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

}  // namespace

Result<TrainingEnd> Trainer::Run() {
  thread_ = std::this_thread::get_id();
  TUTTI_RETURN_IF_ERROR(Start());
  meter_.Resume();
  while (!IsLast() && !best_.ShouldStop(cursor_)) {
    TUTTI_ASSIGN_OR_RETURN(const exchange::Reduced reduced, Step());
    if (!reduced.finite) return NotFinite(reduced);
    TUTTI_RETURN_IF_ERROR(AfterStep(reduced));
    if ((reduced.control & kStop) != 0) {
      if (writer_) TUTTI_RETURN_IF_ERROR(writer_->Finish());
      return TrainingEnd{.kind = TrainingEnd::Kind::kReleased, .step = cursor_.step};
    }
  }
  return Finish();
}

Status Trainer::Beat(Phase phase, double compute_seconds) {
  clock_.Enter(phase);
  last_beat_ = train::PhaseClock::Clock::now();
  return o_.link.Send(enginelink::Beat{.rank = o_.gang.rank,
                                       .step = static_cast<std::uint64_t>(cursor_.step),
                                       .collective = o_.gang.exchange.collectives(),
                                       .phase = std::string(ToString(phase)),
                                       .compute_seconds = compute_seconds});
}

Status Trainer::Waiting() {
  if (std::this_thread::get_id() != thread_) return {};
  const auto now = train::PhaseClock::Clock::now();
  if (now - last_beat_ < kWaitTold) return {};
  last_beat_ = now;
  TUTTI_RETURN_IF_ERROR(o_.link.Check());
  return o_.link.Send(enginelink::Beat{.rank = o_.gang.rank,
                                       .step = static_cast<std::uint64_t>(cursor_.step),
                                       .collective = o_.gang.exchange.collectives(),
                                       .phase = std::string(ToString(clock_.phase())),
                                       .waiting = true});
}

Status Trainer::Warn(std::string message) {
  if (!IsFirst()) return {};
  return o_.link.Send(enginelink::Warning{.message = std::move(message)});
}

// The worker's wishes, as rank 0 heard them; everyone looks whether the worker is there.
Result<std::uint64_t> Trainer::ControlWord() {
  TUTTI_ASSIGN_OR_RETURN(const Control control, o_.link.Poll());
  std::uint64_t word = 0;
  if (control.stop) word |= kStop;
  if (control.stop && control.stop_checkpoint) word |= kStopWithCheckpoint;
  if (control.checkpoint_now) word |= kCheckpointNow;
  return word;
}

Result<exchange::Reduced> Trainer::Step() {
  TUTTI_RETURN_IF_ERROR(Beat(Phase::kData));
  const std::int64_t step = cursor_.step;
  const auto start = last_beat_;
  TUTTI_RETURN_IF_ERROR(step_->Compute(step, order_.RowsOf(step)));
  const std::chrono::duration<double> computed = train::PhaseClock::Clock::now() - start;
  TUTTI_RETURN_IF_ERROR(Beat(Phase::kReduce, computed.count()));
  TUTTI_ASSIGN_OR_RETURN(const std::uint64_t word, ControlWord());
  TUTTI_ASSIGN_OR_RETURN(const exchange::Reduced reduced, step_->Reduce(word));
  if (!reduced.finite) return reduced;
  const double rate = schedule_->At(step);
  TUTTI_RETURN_IF_ERROR(step_->Update({.step = step, .learning_rate = rate, .norm = reduced.norm}));
  cursor_.step = step + 1;
  cursor_.epoch = cursor_.step / order_.steps_per_epoch();
  cursor_.batch_in_epoch = cursor_.step % order_.steps_per_epoch();
  cursor_.tokens_total += static_cast<std::int64_t>(reduced.sums.tokens);
  cursor_.rows_total += static_cast<std::int64_t>(reduced.sums.rows);
  meter_.Add({.learning_rate = rate, .reduced = reduced});
  return reduced;
}

TrainingEnd Trainer::NotFinite(const exchange::Reduced& reduced) {
  const std::int64_t step = cursor_.step + 1;  // people count from one
  const std::string tensor = step_->FirstNotFinite();
  std::string message = std::isfinite(reduced.sums.loss) ? "the gradient" : "the loss";
  message += " of step " + std::to_string(step) + " is not finite";
  if (!tensor.empty()) message += ", first in the gradient of " + tensor;
  return {.kind = TrainingEnd::Kind::kNotFinite,
          .step = cursor_.step,
          .error = {ErrorCode::kInvalid, std::move(message), "step " + std::to_string(step),
                    "try a smaller training.learning_rate, a longer warm-up, or max_grad_norm"}};
}

bool Trainer::Due(std::optional<std::int64_t> every) const {
  return IsLast() || cursor_.step % every.value_or(order_.steps_per_epoch()) == 0;
}

Status Trainer::AfterStep(const exchange::Reduced& reduced) {
  if (IsFirst() && (IsLast() || cursor_.step % training().logging_steps == 0)) {
    TUTTI_RETURN_IF_ERROR(TellProgress());
  }
  const bool evaluated = o_.job.eval && Due(training().eval_steps);
  if (evaluated) TUTTI_RETURN_IF_ERROR(EvaluateNow());
  const bool new_best = evaluated && cursor_.best_step == cursor_.step;
  const bool save = Due(training().save_steps) || best_.ShouldStop(cursor_) ||
                    (reduced.control & (kStopWithCheckpoint | kCheckpointNow)) != 0 ||
                    (new_best && training().load_best_model_at_end);
  if (save) TUTTI_RETURN_IF_ERROR(Save());
  return writer_ ? writer_->Check() : Status();
}

Status Trainer::TellProgress() {
  const auto per_epoch = static_cast<double>(order_.steps_per_epoch());
  const enginelink::Progress progress =
      meter_.Take({.step = cursor_.step,
                   .total_steps = o_.job.counts.total_steps,
                   .epoch = static_cast<double>(cursor_.step) / per_epoch,
                   .tokens_total = cursor_.tokens_total,
                   .rows_total = cursor_.rows_total,
                   .use = o_.gang.exchange.use()},
                  clock_);
  std::printf("step %lld/%lld  loss %.4f  lr %.3g  %.0f tokens/s  %.1f rows/s\n",
              static_cast<long long>(cursor_.step),
              static_cast<long long>(o_.job.counts.total_steps), progress.loss,
              progress.learning_rate, progress.tokens_per_second, progress.rows_per_second);
  std::fflush(stdout);
  return o_.link.Send(progress);
}

// Within a long phase: says so, now and then.
Status Trainer::KeepBeating(Phase phase) {
  if (train::PhaseClock::Clock::now() - last_beat_ < kBeatEvery) return {};
  return Beat(phase);
}

Result<train::Metrics> Trainer::EvaluateWeights() {
  TUTTI_RETURN_IF_ERROR(Beat(Phase::kEvaluate));
  return train::Evaluate(*o_.job.model, *o_.job.eval,
                         {.micro_batch = std::min(train::kEvalRows, training().micro_batch_size),
                          .gang = &o_.gang,
                          .on_batch = [this] { return KeepBeating(Phase::kEvaluate); },
                          .preference = o_.job.preference});
}

Status Trainer::EvaluateNow() {
  meter_.Pause();
  TUTTI_ASSIGN_OR_RETURN(metrics_, EvaluateWeights());
  evaluated_step_ = cursor_.step;
  std::vector<enginelink::EvalSample> samples;
  if (!o_.job.sampled.empty()) {
    const AnswerOptions options{.gang = &o_.gang,
                                .on_token = [this] { return KeepBeating(Phase::kEvaluate); }};
    TUTTI_ASSIGN_OR_RETURN(samples, AnswerRows(o_.job, o_.job.sampled, options));
  }
  const bool better = best_.Observe(cursor_.step, metrics_, cursor_);
  meter_.Resume();
  if (!IsFirst()) return {};
  std::printf("step %lld  evaluation:", static_cast<long long>(cursor_.step));
  for (const auto& [name, value] : metrics_) std::printf("  %s %.4f", name.c_str(), value);
  std::printf("%s\n", better ? "  (best so far)" : "");
  std::fflush(stdout);
  return o_.link.Send(enginelink::Eval{.step = static_cast<std::uint64_t>(cursor_.step),
                                       .metrics = metrics_,
                                       .best = better,
                                       .samples = std::move(samples)});
}

Status Trainer::Save() {
  if (!writer_) return {};
  TUTTI_RETURN_IF_ERROR(Beat(Phase::kCheckpoint));
  return writer_->Save(cursor_, metrics_);
}

// The weights to keep are those of the best evaluation where the spec says so, else the last ones.
Result<TrainingEnd> Trainer::Finish() {
  if (writer_) TUTTI_RETURN_IF_ERROR(writer_->Finish());
  std::int64_t kept = cursor_.step;
  if (training().load_best_model_at_end && cursor_.best_step >= 0 && cursor_.best_step != kept) {
    TUTTI_ASSIGN_OR_RETURN(const bool restored, RestoreBest());
    if (restored) kept = cursor_.best_step;
  }
  if (o_.job.eval && evaluated_step_ != kept) {
    TUTTI_ASSIGN_OR_RETURN(metrics_, EvaluateWeights());
  }
  if (!AllFinite(o_.gang.memory.parameters())) {
    return TrainingEnd{
        .kind = TrainingEnd::Kind::kNotFinite,
        .step = cursor_.step,
        .error = {ErrorCode::kInvalid, "the trained weights are not finite",
                  "step " + std::to_string(cursor_.step), "try a smaller training.learning_rate"}};
  }
  return TrainingEnd{
      .kind = TrainingEnd::Kind::kFinished, .step = cursor_.step, .metrics = metrics_};
}

}  // namespace tutti::finetune
