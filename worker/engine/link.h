// The engine's end of enginelink: lines over one inherited socket to and from the worker.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>

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
  Status Send(const enginelink::ToWorker& message) override;
  Result<finetune::Control> Poll() override;
  Status Check() override;
  // From now on a worker that says nothing for so long is taken for gone (kTimeout).
  void SetLease(std::chrono::milliseconds lease);
  // Waits until the worker closes the link (it kills its gang then too), at most `deadline`.
  void AwaitEnd(std::chrono::milliseconds deadline);

 private:
  // Takes what has come; kUnavailable at the end of the stream.
  Status ReadAvailable();

  UniqueFd socket_;
  enginelink::LineBuffer lines_;
  std::optional<std::chrono::milliseconds> lease_;
  std::chrono::steady_clock::time_point heard_{};  // when the worker last said anything
  std::mutex sending_;
};

}  // namespace tutti::engine
