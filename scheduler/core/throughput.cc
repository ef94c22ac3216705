#include "scheduler/core/throughput.h"

#include <algorithm>
#include <cmath>

#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

constexpr double kMeasuredSpread = 1.2;  // of the time that measured steps will take
// As many gangs that run count as much as all that ended.
constexpr double kGangsOfPast = 2;

double MillisecondsOf(Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

Span SpanOf(const Guess& ms) {
  const auto of = [](double value) {
    constexpr double kLongestMs = 1e12;
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double, std::milli>(std::min(value, kLongestMs)));
  };
  return {of(ms.value), of(ms.low), of(ms.high)};
}

Guess Times(const Guess& each, double count) {
  return {each.value * count, each.low * count, each.high * count};
}

Guess Plus(const Guess& a, const Guess& b) {
  return {a.value + b.value, a.low + b.low, a.high + b.high};
}

bool TookSteps(const AttemptRecord& attempt) {
  return attempt.ran_ms > 0 && attempt.last_step > attempt.from_step && attempt.ranks > 0;
}

enum class Unit { kTime, kPrior };  // milliseconds as they are, or as admission counts them

// The newest measurement of each of the last two sizes, the newest first.
std::vector<StepSample> SamplesOf(const Job& job, Unit unit) {
  std::vector<StepSample> samples;
  for (auto it = job.attempts.rbegin(); it != job.attempts.rend() && samples.size() < 2; ++it) {
    if (!TookSteps(*it)) continue;
    const bool known = std::any_of(samples.begin(), samples.end(), [&](const StepSample& sample) {
      return sample.ranks == it->ranks;
    });
    if (known) continue;
    // Where nobody said how far it was while it ran, launch and end count as if they were steps.
    const bool told = it->steps_ms > 0;
    const double pace = unit == Unit::kPrior && told && it->pace > 0 ? it->pace : 1;
    samples.push_back({it->ranks, static_cast<double>(told ? it->steps_ms : it->ran_ms) /
                                      static_cast<double>(it->last_step - it->from_step) / pace});
  }
  return samples;
}

// As admission predicts it.
std::optional<StepSample> PriorOf(const Job& job) {
  if (!job.estimate || job.estimate->duration_ms == 0 || job.estimate->total_steps == 0) {
    return std::nullopt;
  }
  return StepSample{std::max(job.request.ranks_min, 1U),
                    static_cast<double>(job.estimate->duration_ms) /
                        static_cast<double>(job.estimate->total_steps)};
}

// REQUIRES: there are samples.
Guess MeasuredStepMs(const std::vector<StepSample>& samples, std::uint32_t ranks) {
  double divided = kDividedByRanks;
  if (samples.size() == 2) {
    // ms[0] / ms[1] = (s/r0 + 1 - s) / (s/r1 + 1 - s), solved for s.
    const double ratio = samples[0].ms / samples[1].ms;
    const double a = 1.0 / samples[0].ranks - 1;
    const double b = 1.0 / samples[1].ranks - 1;
    const double below = a - ratio * b;
    if (std::abs(below) > 1e-9) divided = std::clamp((ratio - 1) / below, 0.0, 1.0);
  }
  const double value = ScaledStepMs(samples[0], ranks, divided);
  const double spread = ranks == samples[0].ranks ? 1.15 : samples.size() == 2 ? 1.3 : 1.6;
  return Guess{value, value / spread, value * spread};
}

std::optional<std::uint64_t> WorkOf(const Job& job, const std::optional<Guess>& step) {
  if (!job.estimate || job.estimate->total_steps == 0 || !step) return std::nullopt;
  return static_cast<std::uint64_t>(
      std::min(step->value * static_cast<double>(StepsLeft(job)), 1e15));
}

}  // namespace

std::uint64_t StepsLeft(const Job& job) {
  const std::uint64_t done = job.checkpoints.empty() ? 0 : job.checkpoints.back().step;
  return job.estimate->total_steps - std::min(done, job.estimate->total_steps);
}

double ScaledStepMs(const StepSample& sample, std::uint32_t ranks, double divided) {
  const double single = sample.ms / (divided / sample.ranks + (1 - divided));
  return single * (divided / ranks + (1 - divided));
}

std::uint32_t MeasuredRanks(const Job& job) {
  const auto newest = std::find_if(job.attempts.rbegin(), job.attempts.rend(), TookSteps);
  return newest == job.attempts.rend() ? job.request.ranks_min : newest->ranks;
}

std::optional<Guess> StepMs(const Job& job, const Learned& learned, std::uint32_t ranks) {
  const std::vector<StepSample> samples = SamplesOf(job, Unit::kTime);
  ranks = std::max(ranks, 1U);
  if (!samples.empty()) return MeasuredStepMs(samples, ranks);
  const double prior = PriorStepMs(job, ranks);
  if (prior == 0) return std::nullopt;
  return Times(PaceOf(learned), prior);
}

Learned LearnedNow(const State& state) {
  Learned learned = state.ledger.learned;
  const PaceNow& now = state.liveness.pace;
  if (!(now.weight > 0)) return learned;
  // A cluster that is full, or whose machines are busy with something else, slows all of them; one
  // gang may have reasons of its own.
  const double share = now.weight / (now.weight + kGangsOfPast);
  const double off = share * (now.sum / now.weight - learned.pace.value);
  learned.pace.value += off;
  // What was usual may come back.
  learned.pace.spread = std::max(learned.pace.spread, std::abs(off) / 2);
  return learned;
}

double PriorStepMs(const Job& job, std::uint32_t ranks) {
  const auto prior = PriorOf(job);
  return prior ? ScaledStepMs(*prior, std::max(ranks, 1U)) : 0;
}

double PriorMs(const Job& job, const AttemptRecord& attempt) {
  if (attempt.last_step <= attempt.from_step) return 0;
  return PriorStepMs(job, attempt.ranks) *
         static_cast<double>(attempt.last_step - attempt.from_step);
}

std::optional<std::uint64_t> WorkLeftMs(const Job& job, const Learned& learned) {
  return WorkOf(job, StepMs(job, learned, SizesOf(job).min));
}

std::optional<std::uint64_t> PriorWorkLeftMs(const Job& job) {
  const std::uint32_t ranks = std::max(SizesOf(job).min, 1U);
  const std::vector<StepSample> samples = SamplesOf(job, Unit::kPrior);
  if (!samples.empty()) return WorkOf(job, MeasuredStepMs(samples, ranks));
  const double step = PriorStepMs(job, ranks);
  if (step == 0) return std::nullopt;
  return WorkOf(job, Guess{step, step, step});
}

std::optional<Guess> WorkLeftMs(const Job& job, const State& state, Instant now) {
  const Liveness& liveness = state.liveness;
  const Gang* gang = ActiveGang(job);
  if (gang == nullptr || !job.estimate || job.estimate->total_steps == 0) return std::nullopt;
  const auto less = [](Guess all, double gone) {
    return Guess{std::max(0.0, all.value - gone), std::max(0.0, all.low - gone),
                 std::max(0.0, all.high - gone)};
  };
  const auto seen = liveness.progress.find(job.id);
  if (seen != liveness.progress.end() && seen->second.attempt == job.attempt &&
      seen->second.step_ms > 0) {
    const std::uint64_t total = job.estimate->total_steps;
    const double left =
        seen->second.step_ms * static_cast<double>(total - std::min(total, seen->second.step));
    return less({left, left / kMeasuredSpread, left * kMeasuredSpread},
                MillisecondsOf(now - seen->second.heard));
  }
  const Learned learned = LearnedNow(state);
  const auto step = StepMs(job, learned, gang->size);
  if (!step) return std::nullopt;
  Guess left = Times(*step, static_cast<double>(StepsLeft(job)));
  if (std::holds_alternative<Starting>(job.phase)) left = Plus(LaunchMsOf(learned), left);
  const auto found = liveness.gangs.find({job.id, job.attempt});
  if (found == liveness.gangs.end()) return left;
  const GangTrack& track = found->second;
  return less(left, MillisecondsOf(now - track.started.value_or(track.first_noticed)));
}

Duration EndingOf(const Learned& learned) { return SpanOf(EndingMsOf(learned)).value; }

Duration UntilGone(std::uint64_t steps_left, double step_ms, Duration ending) {
  const double left = static_cast<double>(steps_left) * step_ms + MillisecondsOf(ending);
  return SpanOf({left, left, left}).value;
}

std::optional<Span> PredictEnd(const Job& job, const State& state, Instant now) {
  if (std::holds_alternative<Stopping>(job.phase)) return Span{};
  const auto left = WorkLeftMs(job, state, now);
  if (!left) return std::nullopt;
  return SpanOf(Plus(*left, EndingMsOf(state.ledger.learned)));
}

Ends PredictEnds(const State& state, Instant now) {
  const Ledger& ledger = state.ledger;
  Ends ends;
  ends.reserve(ledger.active.size());
  for (const JobId id : ledger.active) {
    if (const auto end = PredictEnd(ledger.jobs.at(id), state, now)) ends.emplace_back(id, *end);
  }
  return ends;
}

std::optional<Span> PredictRun(const Job& job, const Learned& learned, std::uint32_t ranks) {
  if (!job.estimate || job.estimate->total_steps == 0) return std::nullopt;
  const auto step = StepMs(job, learned, ranks);
  if (!step) return std::nullopt;
  const Guess training = Times(*step, static_cast<double>(StepsLeft(job)));
  return SpanOf(Plus(Plus(LaunchMsOf(learned), training), EndingMsOf(learned)));
}

}  // namespace tutti::core
