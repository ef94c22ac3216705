// The engine's end of enginelink: lines over one inherited socket to and from the worker.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>

#include "common/base/result.h"
#include "common/enginelink/messages.h"
#include "common/file/file.h"
#include "worker/finetune/link.h"

namespace tutti::engine {

class FdLink final : public finetune::WorkerLink {
 public:
  explicit FdLink(UniqueFd socket) : socket_(std::move(socket)) {}

  // The worker's first line. kTimeout, kUnavailable, kInvalid for anything but a plan.
  Result<enginelink::Plan> AwaitPlan(std::chrono::milliseconds deadline);
  // Waits for a worker that does not read a minute at most, and never beyond its lease.
  Status Send(const enginelink::ToWorker& message) override;
  Result<finetune::Control> Poll() override;
  Status Check() override;
  // From `until` on (CLOCK_MONOTONIC) the worker is taken for gone (kTimeout), unless it says by
  // then that its lease was renewed.
  void SetLease(std::chrono::nanoseconds until);
  // Waits until the worker closes the link (it kills its gang then too), at most `deadline`.
  void AwaitEnd(std::chrono::milliseconds deadline);

 private:
  std::chrono::steady_clock::time_point LeaseEnd() const;
  // Takes what has come; kUnavailable at the end of the stream.
  Status ReadAvailable();
  // Hears what was read; a plan or what is no message is kInvalid.
  Status TakeLines();

  UniqueFd socket_;
  enginelink::LineBuffer lines_;
  finetune::Control heard_;  // since the last Poll
  static constexpr std::chrono::nanoseconds kNoLease = std::chrono::nanoseconds::max();
  std::atomic<std::chrono::nanoseconds> lease_until_ = kNoLease;
  std::mutex sending_;
};

}  // namespace tutti::engine
