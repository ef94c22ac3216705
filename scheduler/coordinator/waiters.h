// Waiters: requests that wait until a job has finished. Of the loop's thread.
#pragma once

#include <functional>
#include <map>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "scheduler/coordinator/loop.h"

namespace tutti::coordinator {

class Waiters {
 public:
  // `answer` runs once: the job has finished, or the deadline has passed.
  void Add(JobId job, Instant deadline, std::function<void()> answer);
  void OnStored(const Stored& stored);
  void Tick(Instant now);
  // The coordinator stops: all are answered.
  void Release();

 private:
  struct Waiter {
    Instant deadline;
    std::function<void()> answer;
  };
  std::multimap<JobId, Waiter> waiters_;
};

}  // namespace tutti::coordinator
