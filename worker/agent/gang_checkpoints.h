// The checkpoints that a gang's rank 0 writes, on their way to the coordinator: each is sent there
// where its folder is not the coordinator's, and then reported, in order.
//
// Owned by a Gang, on the loop's thread; the work is done in the background.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/time.h"
#include "common/enginelink/messages.h"
#include "common/wire/messages.pb.h"
#include "worker/agent/background.h"
#include "worker/agent/loop.h"
#include "worker/agent/remote_blobs.h"

namespace tutti::agent {

class GangCheckpoints {
 public:
  // All of it outlives this.
  struct Options {
    Loop& loop;
    Background& background;
    const RemoteBlobs& remote;
    std::string job;
    std::function<bool()> shares_folder;  // with the coordinator: nothing is sent
    std::function<void(wire::CheckpointCommitted)> report;
    std::function<void(std::string)> warn;  // for people; once a checkpoint
  };
  explicit GangCheckpoints(Options options) : o_(std::move(options)) {}
  ~GangCheckpoints();
  GangCheckpoints(const GangCheckpoints&) = delete;
  GangCheckpoints& operator=(const GangCheckpoints&) = delete;

  void Add(enginelink::Checkpoint checkpoint);
  // Nothing is sent or reported any more.
  void Abandon();
  // Calls `done` once, when everything was reported or `patience` is over: at once, or later from
  // the loop.
  void WhenReported(Duration patience, std::function<void()> done);
  // A thread is at work: not to be destroyed.
  bool busy() const { return busy_; }

  // After what may pass: from the first to the second, doubling.
  static constexpr Duration kAgain = std::chrono::seconds(1);
  static constexpr Duration kAgainMax = std::chrono::seconds(30);

 private:
  void SendNext();
  void OnSent(Result<wire::CheckpointCommitted> told);
  void TellIfDone();

  Options o_;
  std::deque<enginelink::Checkpoint> waiting_;  // the first is being sent
  bool busy_ = false;
  bool abandoned_ = false;
  bool warned_ = false;  // of the first
  Duration again_after_ = kAgain;
  std::stop_source stop_;
  std::optional<Loop::TimerId> again_;
  std::optional<Loop::TimerId> give_up_;
  std::function<void()> done_;
};

}  // namespace tutti::agent
