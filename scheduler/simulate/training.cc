#include "scheduler/simulate/training.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/base/check.h"

namespace tutti::simulate {

void Training::Reallocate(Shape shape) {
  shape_ = std::move(shape);
  speed_ = 0;
  if (shape_.empty()) return;
  split_ = job_->application->Split(job_->batch_size, shape_);
  restart_left_ = kRestartSeconds;
  if (started_) ++restarts_;
  started_ = true;
}

Status Training::Run(std::int64_t now, std::int64_t seconds) {
  if (shape_.empty() || completed_at_) return {};
  const auto ranks = std::accumulate(shape_.begin(), shape_.end(), 0U);
  const std::int64_t delay = std::min(restart_left_, seconds);
  restart_left_ -= delay;
  now += delay;
  seconds -= delay;
  rank_seconds_ += static_cast<double>(delay) * ranks;
  const Application& app = *job_->application;
  while (seconds > 0 && !completed_at_) {
    const std::uint32_t batch = ranks * split_.rows * (split_.accumulations + 1);
    TUTTI_ASSIGN_OR_RETURN(const Application::StepTime time, app.TimeOf(shape_, split_.rows));
    const double accumulation = time.step_seconds - time.sync_seconds;
    const double total = time.step_seconds + accumulation * split_.accumulations;
    speed_ = app.GainOf(batch, epoch_) / total;
    const double next = app.ProgressAt(epoch_ + 1);
    if (progress_ + speed_ * static_cast<double>(seconds) < next) {
      progress_ += speed_ * static_cast<double>(seconds);
      rank_seconds_ += static_cast<double>(seconds) * ranks;
      return {};
    }
    ++epoch_;
    // To the even number when halfway, as the published results were rounded.
    const auto delta = static_cast<std::int64_t>(std::nearbyint((next - progress_) / speed_));
    TUTTI_CHECK(delta <= seconds);
    progress_ = next;
    now += delta;
    seconds -= delta;
    rank_seconds_ += static_cast<double>(delta) * ranks;
    if (epoch_ >= app.epochs()) completed_at_ = now;
  }
  return {};
}

Result<std::int64_t> SecondsAlone(const TraceJob& job, const Shape& shape) {
  constexpr std::int64_t kYear = 365LL * 24 * 3600;
  Training alone(job);
  alone.Reallocate(shape);
  TUTTI_RETURN_IF_ERROR(alone.Run(0, kYear));
  if (alone.completed_at()) return *alone.completed_at();
  return Fail(ErrorCode::kInvalid, job.name + " would not be done within a year");
}

}  // namespace tutti::simulate
