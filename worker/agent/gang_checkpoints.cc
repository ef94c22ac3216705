#include "worker/agent/gang_checkpoints.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "worker/agent/checkpoint_files.h"

namespace tutti::agent {

GangCheckpoints::~GangCheckpoints() {
  if (again_) o_.loop.Cancel(*again_);
  if (give_up_) o_.loop.Cancel(*give_up_);
}

void GangCheckpoints::Add(enginelink::Checkpoint checkpoint) {
  if (abandoned_) return;
  waiting_.push_back(std::move(checkpoint));
  if (waiting_.size() == 1) SendNext();
}

void GangCheckpoints::SendNext() {
  again_.reset();
  if (busy_ || waiting_.empty()) return TellIfDone();
  busy_ = true;
  const RemoteBlobs* remote = o_.shares_folder() ? nullptr : &o_.remote;
  stop_ = o_.background.Run<Result<wire::CheckpointCommitted>>(
      [checkpoint = waiting_.front(), job = o_.job, remote](std::stop_token stop) {
        return HandOver(checkpoint, job, remote, std::move(stop));
      },
      [this](Result<wire::CheckpointCommitted> told) { OnSent(std::move(told)); });
}

void GangCheckpoints::OnSent(Result<wire::CheckpointCommitted> told) {
  busy_ = false;
  if (abandoned_) return TellIfDone();
  const std::uint64_t step = waiting_.front().step;
  if (!told && told.error().code != ErrorCode::kNotFound &&
      told.error().code != ErrorCode::kConflict) {
    if (!std::exchange(warned_, true)) {
      o_.warn("the checkpoint of step " + std::to_string(step) +
              " could not be sent to the coordinator yet: " + told.error().ToString());
    }
    again_ = o_.loop.After(again_after_, [this] { SendNext(); });
    again_after_ = std::min(again_after_ * 2, kAgainMax);
    return;
  }
  if (told) {
    o_.report(std::move(*told));
  } else {  // collected meanwhile, for newer ones; or nobody wants it any more
    Log(kInfo, "checkpoint_not_sent",
        {{"job", o_.job}, {"step", step}, {"problem", told.error().ToString()}});
  }
  waiting_.pop_front();
  warned_ = false;
  again_after_ = kAgain;
  SendNext();
}

void GangCheckpoints::Abandon() {
  abandoned_ = true;
  waiting_.clear();
  stop_.request_stop();
  if (again_) o_.loop.Cancel(*again_);
  again_.reset();
  // Not at once: this may be inside an action of the gang.
  if (done_ && !busy_) o_.loop.Post([this] { TellIfDone(); });
}

void GangCheckpoints::WhenReported(Duration patience, std::function<void()> done) {
  done_ = std::move(done);
  if (!busy_ && waiting_.empty()) return TellIfDone();
  give_up_ = o_.loop.After(patience, [this] {
    give_up_.reset();
    Log(kError, "checkpoints_given_up", {{"job", o_.job}, {"count", waiting_.size()}});
    Abandon();
  });
}

void GangCheckpoints::TellIfDone() {
  if (busy_ || !waiting_.empty() || !done_) return;
  if (give_up_) o_.loop.Cancel(*give_up_);
  give_up_.reset();
  const auto done = std::exchange(done_, nullptr);
  done();
}

}  // namespace tutti::agent
