#include "scheduler/core/throughput.h"

#include <algorithm>
#include <cmath>

#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

constexpr double kMeasuredSpread = 1.2;  // of the time that measured steps will take
constexpr double kEndMs = 1000;          // the last evaluation, the export, the goodbye: about

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

// Until its gang is gone, when that is its training.
Span WithEnd(const Guess& training) {
  return SpanOf({training.value + kEndMs, training.low, training.high + 2 * kEndMs});
}

bool TookSteps(const AttemptRecord& attempt) {
  return attempt.ran_ms > 0 && attempt.last_step > attempt.from_step && attempt.ranks > 0;
}

// The newest measurement of each of the last two sizes, the newest first.
std::vector<StepSample> SamplesOf(const Job& job) {
  std::vector<StepSample> samples;
  for (auto it = job.attempts.rbegin(); it != job.attempts.rend() && samples.size() < 2; ++it) {
    if (!TookSteps(*it)) continue;
    const bool known = std::any_of(samples.begin(), samples.end(), [&](const StepSample& sample) {
      return sample.ranks == it->ranks;
    });
    if (known) continue;
    samples.push_back({it->ranks, static_cast<double>(it->ran_ms) /
                                      static_cast<double>(it->last_step - it->from_step)});
  }
  return samples;
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

std::optional<Guess> StepMs(const Job& job, std::uint32_t ranks) {
  const std::vector<StepSample> samples = SamplesOf(job);
  ranks = std::max(ranks, 1U);
  if (samples.empty()) {
    if (!job.estimate || job.estimate->duration_ms == 0 || job.estimate->total_steps == 0) {
      return std::nullopt;
    }
    const StepSample prior{std::max(job.request.ranks_min, 1U),
                           static_cast<double>(job.estimate->duration_ms) /
                               static_cast<double>(job.estimate->total_steps)};
    const double value = ScaledStepMs(prior, ranks);
    return Guess{value, value / 3, value * 3};
  }
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

std::optional<std::uint64_t> WorkLeftMs(const Job& job) {
  if (!job.estimate || job.estimate->total_steps == 0) return std::nullopt;
  const auto step = StepMs(job, SizesOf(job).min);
  if (!step) return std::nullopt;
  return static_cast<std::uint64_t>(
      std::min(step->value * static_cast<double>(StepsLeft(job)), 1e15));
}

std::optional<Guess> WorkLeftMs(const Job& job, const Liveness& liveness, Instant now) {
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
  const auto step = StepMs(job, gang->size);
  if (!step) return std::nullopt;
  const auto track = liveness.gangs.find({job.id, job.attempt});
  const double ran =
      track == liveness.gangs.end() ? 0 : MillisecondsOf(now - track->second.first_noticed);
  return less(Times(*step, static_cast<double>(StepsLeft(job))), ran);
}

Duration UntilGone(std::uint64_t steps_left, double step_ms) {
  const double left = static_cast<double>(steps_left) * step_ms;
  return WithEnd({left, left, left}).value;
}

std::optional<Span> PredictEnd(const Job& job, const Liveness& liveness, Instant now) {
  if (std::holds_alternative<Stopping>(job.phase)) return Span{};
  const auto left = WorkLeftMs(job, liveness, now);
  if (!left) return std::nullopt;
  return WithEnd(*left);
}

Ends PredictEnds(const Ledger& ledger, const Liveness& liveness, Instant now) {
  Ends ends;
  ends.reserve(ledger.active.size());
  for (const JobId id : ledger.active) {
    if (const auto end = PredictEnd(ledger.jobs.at(id), liveness, now)) ends.emplace_back(id, *end);
  }
  return ends;
}

std::optional<Span> PredictRun(const Job& job, std::uint32_t ranks) {
  if (!job.estimate || job.estimate->total_steps == 0) return std::nullopt;
  const auto step = StepMs(job, ranks);
  if (!step) return std::nullopt;
  return WithEnd(Times(*step, static_cast<double>(StepsLeft(job))));
}

}  // namespace tutti::core
