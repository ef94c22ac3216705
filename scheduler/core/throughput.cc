#include "scheduler/core/throughput.h"

#include <algorithm>
#include <cmath>

#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

constexpr double kDivided = 0.9;  // of a step, until more than one size was measured

struct Sample {
  std::uint32_t ranks = 0;
  double ms = 0;
};

double Scaled(const Sample& sample, double divided, std::uint32_t ranks) {
  const double single = sample.ms / (divided / sample.ranks + (1 - divided));
  return single * (divided / ranks + (1 - divided));
}

// The newest measurement of each of the last two sizes, the newest first.
std::vector<Sample> SamplesOf(const Job& job) {
  std::vector<Sample> samples;
  for (auto it = job.attempts.rbegin(); it != job.attempts.rend() && samples.size() < 2; ++it) {
    if (it->ran_ms == 0 || it->last_step <= it->from_step || it->ranks == 0) continue;
    const bool known = std::any_of(samples.begin(), samples.end(),
                                   [&](const Sample& sample) { return sample.ranks == it->ranks; });
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

std::optional<Guess> StepMs(const Job& job, std::uint32_t ranks) {
  const std::vector<Sample> samples = SamplesOf(job);
  ranks = std::max(ranks, 1U);
  if (samples.empty()) {
    if (!job.estimate || job.estimate->duration_ms == 0 || job.estimate->total_steps == 0) {
      return std::nullopt;
    }
    const Sample prior{std::max(job.request.ranks_min, 1U),
                       static_cast<double>(job.estimate->duration_ms) /
                           static_cast<double>(job.estimate->total_steps)};
    const double value = Scaled(prior, kDivided, ranks);
    return Guess{value, value / 3, value * 3};
  }
  double divided = kDivided;
  if (samples.size() == 2) {
    // ms[0] / ms[1] = (s/r0 + 1 - s) / (s/r1 + 1 - s), solved for s.
    const double ratio = samples[0].ms / samples[1].ms;
    const double a = 1.0 / samples[0].ranks - 1;
    const double b = 1.0 / samples[1].ranks - 1;
    const double below = a - ratio * b;
    if (std::abs(below) > 1e-9) divided = std::clamp((ratio - 1) / below, 0.0, 1.0);
  }
  const double value = Scaled(samples[0], divided, ranks);
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

std::optional<double> WorkLeftMs(const Job& job, const Liveness& liveness, Instant now) {
  const Gang* gang = ActiveGang(job);
  if (gang == nullptr || !job.estimate || job.estimate->total_steps == 0) return std::nullopt;
  const auto seen = liveness.progress.find(job.id);
  if (seen != liveness.progress.end() && seen->second.attempt == job.attempt &&
      seen->second.step_ms > 0) {
    const std::uint64_t total = job.estimate->total_steps;
    return seen->second.step_ms * static_cast<double>(total - std::min(total, seen->second.step));
  }
  const auto step = StepMs(job, gang->size);
  if (!step) return std::nullopt;
  const auto track = liveness.gangs.find({job.id, job.attempt});
  const double ran =
      track == liveness.gangs.end()
          ? 0
          : std::chrono::duration<double, std::milli>(now - track->second.first_noticed).count();
  return std::max(0.0, step->value * static_cast<double>(StepsLeft(job)) - ran);
}

Ends PredictEnds(const Ledger& ledger, const Liveness& liveness, Instant now) {
  Ends ends;
  for (const JobId id : ledger.active) {
    const Job& job = ledger.jobs.at(id);
    if (std::holds_alternative<Stopping>(job.phase)) {
      ends.emplace(id, Duration{});
      continue;
    }
    const auto left = WorkLeftMs(job, liveness, now);
    if (left) {
      ends.emplace(id, std::chrono::duration_cast<Duration>(
                           std::chrono::duration<double, std::milli>(*left)));
    }
  }
  return ends;
}

}  // namespace tutti::core
