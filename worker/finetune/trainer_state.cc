#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "worker/finetune/trainer.h"
#include "worker/model/load.h"

namespace tutti::finetune {
namespace {

static_assert(std::is_trivially_copyable_v<checkpoint::Cursor>);

std::vector<checkpoint::TensorPlace> PlacesOf(const model::ParameterLayout& layout) {
  std::vector<checkpoint::TensorPlace> places;
  for (const model::ParameterInfo& parameter : layout.parameters()) {
    places.push_back({.name = parameter.name,
                      .shape = parameter.shape,
                      .offset = parameter.offset,
                      .count = parameter.count});
  }
  return places;
}

std::uint32_t FirstOfMachine(const train::Gang& gang) {
  return gang.rank - gang.memory.local_rank();
}

}  // namespace

Trainer::Trainer(TrainerOptions options)
    : o_(std::move(options)),
      order_(o_.job.train.size(), training().global_batch_size,
             static_cast<std::uint64_t>(training().seed)),
      best_(BestRule::Of(training())),
      spec_digest_(SpecDigest(o_.job.spec)),
      places_(PlacesOf(o_.job.model->layout())) {}

Trainer::~Trainer() = default;

Status Trainer::Start() {
  TUTTI_RETURN_IF_ERROR(Beat(train::Phase::kLoad));
  TUTTI_ASSIGN_OR_RETURN(schedule_, MakeSchedule(training(), o_.job.counts.total_steps));
  step_.emplace(train::GradientStep::Parts{.model = *o_.job.model,
                                           .samples = o_.job.train,
                                           .training = training(),
                                           .gang = o_.gang,
                                           .clock = clock_});
  for (const std::string& warning : o_.job.warnings) TUTTI_RETURN_IF_ERROR(Warn(warning));
  TUTTI_RETURN_IF_ERROR(ShareState());
  if (IsFirst()) {
    const auto limit = training().save_total_limit;
    writer_ = std::make_unique<CheckpointWriter>(CheckpointWriter::Options{
        .directory = o_.checkpoint_dir,
        .attempt = o_.attempt,
        .spec_digest = spec_digest_,
        .tensors = places_,
        .memory = o_.gang.memory,
        .keep = static_cast<std::size_t>(limit.value_or(0)),
        .on_committed = [&link = o_.link](const CheckpointWriter::Committed& done) {
          // A worker that is gone is seen by the rank's own thread.
          static_cast<void>(link.Send(enginelink::Checkpoint{
              .step = static_cast<std::uint64_t>(done.checkpoint.step),
              .path = done.checkpoint.path.string(),
              .state_digest = done.checkpoint.state_digest,
              .size_bytes = static_cast<std::uint64_t>(done.checkpoint.size.count),
              .write_seconds = done.write_seconds}));
        }});
  }
  return o_.link.Send(enginelink::Ready{.rank = o_.gang.rank,
                                        .from_step = static_cast<std::uint64_t>(cursor_.step)});
}

// A machine's first rank loads; what it found goes to all, and all of them start from it.
Status Trainer::ShareState() {
  Status loaded;
  std::string mine;  // '+' and the cursor, or '-' and what is wrong
  if (o_.gang.memory.local_rank() == 0) {
    loaded = LoadState();
    mine = loaded ? "+" + std::string(reinterpret_cast<const char*>(&cursor_), sizeof cursor_)
                  : "-" + loaded.error().ToString();
  }
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> all, o_.gang.gather(mine));
  TUTTI_RETURN_IF_ERROR(loaded);
  const std::string& ours = all[FirstOfMachine(o_.gang)];
  for (const std::string& theirs : all) {
    if (theirs.starts_with('-')) {
      return Fail(ErrorCode::kUnavailable, "a peer could not load its state: " + theirs.substr(1));
    }
    if (!theirs.empty() && theirs != ours) {
      return Fail(ErrorCode::kInternal, "the gang's machines found different checkpoints");
    }
  }
  std::memcpy(&cursor_, ours.data() + 1, sizeof cursor_);
  return {};
}

Status Trainer::LoadState() {
  if (o_.resume) {
    TUTTI_ASSIGN_OR_RETURN(const bool restored, Restore());
    if (restored) return {};
  }
  exchange::NodeMemory& memory = o_.gang.memory;
  cursor_ = {};
  std::ranges::fill(memory.first_moments(), 0.0F);
  std::ranges::fill(memory.second_moments(), 0.0F);
  TUTTI_ASSIGN_OR_RETURN(
      const model::LoadedWeights loaded,
      model::LoadWeights(*o_.job.model, o_.job.model_dir,
                         static_cast<std::uint64_t>(training().seed), memory.parameters()));
  const std::string warning = FreshWarning(loaded.fresh);
  return warning.empty() ? Status() : Warn(warning);
}

// The newest checkpoint that verifies, else the one before it, and so on.
Result<bool> Trainer::Restore() {
  exchange::NodeMemory& memory = o_.gang.memory;
  TUTTI_ASSIGN_OR_RETURN(const std::vector<checkpoint::Found> found,
                         checkpoint::List(o_.checkpoint_dir));
  for (const checkpoint::Found& one : found) {
    const Status read = checkpoint::Read(one, {.tensors = places_,
                                               .parameters = memory.parameters(),
                                               .first_moments = memory.first_moments(),
                                               .second_moments = memory.second_moments(),
                                               .spec_digest = spec_digest_});
    if (read) {
      cursor_ = one.cursor;
      metrics_ = one.metrics;
      return true;
    }
    TUTTI_RETURN_IF_ERROR(Warn("the checkpoint of step " + std::to_string(one.step) +
                               " cannot be used: " + read.error().ToString()));
  }
  return false;
}

// Into the gang's memory; false with a warning when its checkpoint is gone or damaged: the last
// weights stay.
Result<bool> Trainer::RestoreBest() {
  std::string mine;
  if (o_.gang.memory.local_rank() == 0) {
    const Status restored = ReadBest();
    mine = restored ? "+" : restored.error().ToString();
  }
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> all, o_.gang.gather(mine));
  const std::string& answer = all[FirstOfMachine(o_.gang)];
  if (answer == "+") return true;
  TUTTI_RETURN_IF_ERROR(Warn("the best weights, of step " + std::to_string(cursor_.best_step) +
                             ", cannot be loaded; the last ones are kept: " + answer));
  return false;
}

Status Trainer::ReadBest() {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<checkpoint::Found> found,
                         checkpoint::List(o_.checkpoint_dir));
  Status last = Fail(ErrorCode::kNotFound, "no checkpoint of that step is left");
  // A failed read leaves nothing usable behind it, so it goes where nothing is lost.
  const std::span<float> scratch =
      o_.gang.memory.snapshot().first(o_.gang.memory.parameters().size());
  for (const checkpoint::Found& one : found) {
    if (one.step != cursor_.best_step) continue;
    last = checkpoint::Read(one, {.tensors = places_,
                                  .parameters = scratch,
                                  .first_moments = {},
                                  .second_moments = {},
                                  .spec_digest = spec_digest_});
    if (!last) continue;
    std::ranges::copy(scratch, o_.gang.memory.parameters().begin());
    return {};
  }
  return last;
}

}  // namespace tutti::finetune
