// One rank's training of a job, from the base weights or a checkpoint to the weights that are kept:
// steps, evaluations, checkpoints, early stopping. Every rank of the gang runs one; what they
// decide follows from what the reductions gave, so all decide alike. One thread (and the checkpoint
// writer's own).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/result.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/finetune/best.h"
#include "worker/finetune/checkpoint_writer.h"
#include "worker/finetune/eval_samples.h"
#include "worker/finetune/job.h"
#include "worker/finetune/link.h"
#include "worker/finetune/progress_meter.h"
#include "worker/train/evaluator.h"
#include "worker/train/gang.h"
#include "worker/train/gradient_step.h"
#include "worker/train/phase_clock.h"

namespace tutti::finetune {

struct TrainerOptions {
  Job& job;
  train::Gang& gang;
  WorkerLink& link;
  std::uint32_t attempt = 1;
  std::filesystem::path checkpoint_dir;
  bool resume = false;  // from the newest checkpoint that verifies, where there is one
};

struct TrainingEnd {
  enum class Kind {
    kFinished,   // the gang's memory holds the weights to keep
    kReleased,   // stopped as the worker asked, checkpointed where it asked for that
    kNotFinite,  // loss or gradient is NaN or infinite; `error` says where
  };
  Kind kind = Kind::kFinished;
  std::int64_t step = 0;
  train::Metrics metrics{};  // of the weights to keep; empty without evaluation data
  Error error{};
};

class Trainer {
 public:
  explicit Trainer(TrainerOptions options);
  ~Trainer();

  // Called while this rank waits for others in a collective: says so, now and then. An error when
  // the worker is gone. Calls from other threads than Run's do nothing.
  Status Waiting();

  // A collective. Sends Ready, Beat, Progress, Eval, Checkpoint and Warning; Done and Failed are
  // the caller's. kUnavailable: a peer or the worker is gone; kTimeout; kDiskFull and other errors
  // of the checkpoint writer; kInvalid of the model's weights.
  Result<TrainingEnd> Run();

 private:
  // ---- trainer_state.cc: base weights, checkpoints, the best weights ----
  Status Start();
  Status ShareState();
  Status LoadBase();
  Status LoadState(std::int64_t newest);
  Result<bool> Restore(std::int64_t newest);
  Result<bool> RestoreBest();
  Status SpreadWeights();
  Status ReadBest();

  // ---- trainer.cc: the loop ----
  Result<exchange::Reduced> Step();
  Result<std::uint64_t> ControlWord();
  TrainingEnd NotFinite(const exchange::Reduced& reduced);
  Status AfterStep(const exchange::Reduced& reduced);
  Status TellProgress();
  Status KeepBeating(train::Phase phase);
  Result<train::Metrics> EvaluateWeights();
  Status EvaluateNow();
  Status Save();
  Result<TrainingEnd> Finish();

  bool IsFirst() const { return o_.gang.rank == 0; }
  bool Due(std::optional<std::int64_t> every) const;
  bool IsLast() const { return cursor_.step == o_.job.counts.total_steps; }
  // Enters the phase and says so.
  Status Beat(train::Phase phase, double compute_seconds = 0);
  Status Warn(std::string message);
  const spec::TrainingSpec& training() const { return o_.job.spec.training; }

  TrainerOptions o_;
  train::PhaseClock clock_;
  train::EpochOrder order_;
  std::optional<train::Schedule> schedule_;
  BestRule best_;
  std::string spec_digest_;
  std::vector<checkpoint::TensorPlace> places_;
  std::optional<train::GradientStep> step_;
  std::unique_ptr<CheckpointWriter> writer_;  // rank 0's
  ProgressMeter meter_;
  checkpoint::Cursor cursor_;
  train::Metrics metrics_;            // of the last evaluation
  std::int64_t evaluated_step_ = -1;  // whose weights metrics_ are of
  train::PhaseClock::Clock::time_point last_beat_{};
  bool base_loaded_ = false;
  std::thread::id thread_;  // of Run
};

}  // namespace tutti::finetune
