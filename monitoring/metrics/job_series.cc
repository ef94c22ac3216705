#include "monitoring/metrics/job_series.h"

#include "monitoring/metrics/metrics.h"

namespace tutti::metrics {

JobSeries::Series& JobSeries::Of(JobId job, std::string& label) {
  const auto known = jobs_.find(job);
  if (known == jobs_.end() && jobs_.size() >= kJobSeriesMax) {
    label = "_other";
    return other_;
  }
  label = job.ToString();
  Series& series = known == jobs_.end() ? jobs_[job] : known->second;
  series.ended.reset();
  return series;
}

void JobSeries::Set(Gauges& family, JobId job, double value) {
  const std::lock_guard lock(mutex_);
  std::string label;
  prometheus::Gauge*& gauge = Of(job, label).gauges[&family];
  if (gauge == nullptr) gauge = &family.Add({{"job", label}});
  gauge->Set(value);
}

void JobSeries::Add(Counters& family, JobId job, double value) {
  const std::lock_guard lock(mutex_);
  std::string label;
  prometheus::Counter*& counter = Of(job, label).counters[&family];
  if (counter == nullptr) counter = &family.Add({{"job", label}});
  counter->Increment(value);
}

void JobSeries::Ended(JobId job, Instant now) {
  const std::lock_guard lock(mutex_);
  if (const auto known = jobs_.find(job); known != jobs_.end()) known->second.ended = now;
}

void JobSeries::Sweep(Instant now) {
  const std::lock_guard lock(mutex_);
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    if (!job->second.ended || now - *job->second.ended < kJobSeriesKeep) {
      ++job;
      continue;
    }
    for (const auto& [family, gauge] : job->second.gauges) family->Remove(gauge);
    for (const auto& [family, counter] : job->second.counters) family->Remove(counter);
    job = jobs_.erase(job);
  }
}

}  // namespace tutti::metrics
