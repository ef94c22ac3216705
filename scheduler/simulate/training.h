// A recorded job while it trains: how far it gets in so many seconds on the machines it has. One
// thread.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/result.h"
#include "scheduler/simulate/trace.h"

namespace tutti::simulate {

class Training {
 public:
  // A change of machines costs so long.
  static constexpr std::int64_t kRestartSeconds = 30;

  explicit Training(const TraceJob& job) : job_(&job) {}

  // From now on it runs so; empty: not at all.
  void Reallocate(Shape shape);
  // `now`: when the interval begins. kInvalid when the application was never measured so.
  Status Run(std::int64_t now, std::int64_t seconds);

  const TraceJob& job() const { return *job_; }
  const Shape& shape() const { return shape_; }
  std::uint32_t epoch() const { return epoch_; }
  std::optional<std::int64_t> completed_at() const { return completed_at_; }
  std::uint32_t restarts() const { return restarts_; }
  double rank_seconds() const { return rank_seconds_; }  // held
  // Of the whole training, in iterations of the smallest batch.
  double progress() const { return progress_; }
  // Iterations of the smallest batch a second, where it runs now; 0 = it does not.
  double speed() const { return speed_; }

 private:
  const TraceJob* job_;
  Shape shape_;
  LocalBatch split_;
  std::int64_t restart_left_ = 0;
  std::uint32_t epoch_ = 0;
  double progress_ = 0;
  double speed_ = 0;
  std::optional<std::int64_t> completed_at_;
  bool started_ = false;
  std::uint32_t restarts_ = 0;
  double rank_seconds_ = 0;
};

// When it would be done from its submission on, were these its machines all the time.
Result<std::int64_t> SecondsAlone(const TraceJob& job, const Shape& shape);

}  // namespace tutti::simulate
