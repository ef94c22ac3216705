#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "common/base/check.h"
#include "worker/finetune/trainer.h"
#include "worker/finetune/weights.h"

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

// Of a gather where each machine's first rank said '+' and its cursor, and the others nothing.
Result<std::vector<checkpoint::Cursor>> CursorsIn(const std::vector<std::string>& all) {
  std::vector<checkpoint::Cursor> found;
  for (const std::string& text : all) {
    if (text.starts_with('-')) {
      return Fail(ErrorCode::kUnavailable, "a peer could not load its state: " + text.substr(1));
    }
    if (text.empty()) continue;
    TUTTI_CHECK(text.size() == 1 + sizeof(checkpoint::Cursor), text.size(), " bytes");
    std::memcpy(&found.emplace_back(), text.data() + 1, sizeof(checkpoint::Cursor));
  }
  TUTTI_CHECK(!found.empty(), "nobody loaded");
  return found;
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
                                           .clock = clock_,
                                           .preference = o_.job.preference});
  for (const std::string& warning : o_.job.warnings) TUTTI_RETURN_IF_ERROR(Warn(warning));
  TUTTI_RETURN_IF_ERROR(ShareState());
  if (o_.job.frozen() > 0) {
    o_.job.model->BindBase(FrozenIn(o_.job, o_.gang.memory.frozen()));
  }
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
              .write_seconds = done.write_seconds,
              .best_step = static_cast<std::uint64_t>(std::max<std::int64_t>(done.best_step, 0)),
              .keep = static_cast<std::uint32_t>(done.keep)}));
        }});
  }
  return o_.link.Send(enginelink::Ready{.rank = o_.gang.rank,
                                        .from_step = static_cast<std::uint64_t>(cursor_.step)});
}

// Each machine's first rank loads the newest state it has. Where machines found different ones (a
// file that is damaged, or missing, on one of them), all go back to the oldest of these.
Status Trainer::ShareState() {
  std::int64_t newest = std::numeric_limits<std::int64_t>::max();
  while (true) {
    Status loaded;
    std::string mine;  // '+' and the cursor, or '-' and what is wrong
    if (o_.gang.memory.local_rank() == 0) {
      loaded = LoadState(newest);
      mine = loaded ? "+" + std::string(reinterpret_cast<const char*>(&cursor_), sizeof cursor_)
                    : "-" + loaded.error().ToString();
    }
    TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> all, o_.gang.gather(mine));
    TUTTI_RETURN_IF_ERROR(loaded);
    TUTTI_ASSIGN_OR_RETURN(const std::vector<checkpoint::Cursor> found, CursorsIn(all));
    const auto [oldest, latest] = std::ranges::minmax(found, {}, &checkpoint::Cursor::step);
    cursor_ = oldest;
    if (oldest.step == latest.step) return {};
    newest = oldest.step;
  }
}

Status Trainer::LoadBase() {
  if (std::exchange(base_loaded_, true)) return {};
  TUTTI_ASSIGN_OR_RETURN(std::string warning, LoadFrozen(o_.job, o_.gang.memory.frozen()));
  return warning.empty() ? Status() : Warn(std::move(warning));
}

Status Trainer::LoadState(std::int64_t newest) {
  TUTTI_RETURN_IF_ERROR(LoadBase());
  if (o_.resume) {
    TUTTI_ASSIGN_OR_RETURN(const bool restored, Restore(newest));
    if (restored) return {};
  }
  exchange::NodeMemory& memory = o_.gang.memory;
  cursor_ = {};
  metrics_.clear();
  std::ranges::fill(memory.first_moments(), 0.0F);
  std::ranges::fill(memory.second_moments(), 0.0F);
  TUTTI_ASSIGN_OR_RETURN(std::string warning,
                         LoadTrained(o_.job, memory.frozen(), memory.parameters()));
  return warning.empty() ? Status() : Warn(std::move(warning));
}

// The newest checkpoint up to step `newest` that verifies, else the one before it, and so on.
Result<bool> Trainer::Restore(std::int64_t newest) {
  exchange::NodeMemory& memory = o_.gang.memory;
  TUTTI_ASSIGN_OR_RETURN(const std::vector<checkpoint::Found> found,
                         checkpoint::List(o_.checkpoint_dir));
  for (const checkpoint::Found& one : found) {
    if (one.step > newest) continue;
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
// weights stay. Rank 0 reads, whose machine wrote the checkpoints; other machines get the weights
// from it.
Result<bool> Trainer::RestoreBest() {
  std::string mine;
  if (IsFirst()) {
    const Status restored = ReadBest();
    mine = restored ? "+" : restored.error().ToString();
  }
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> all, o_.gang.gather(mine));
  if (all[0] != "+") {
    TUTTI_RETURN_IF_ERROR(Warn("the best weights, of step " + std::to_string(cursor_.best_step) +
                               ", cannot be loaded; the last ones are kept: " + all[0]));
    return false;
  }
  if (o_.gang.size > o_.gang.memory.layout().local_size) TUTTI_RETURN_IF_ERROR(SpreadWeights());
  return true;
}

// Rank 0's parameters into the memory of every machine, piece by piece.
Status Trainer::SpreadWeights() {
  constexpr std::size_t kPieceBytes = 512 << 10;  // a gather takes less than 1 MiB a rank
  const std::span<std::byte> weights = std::as_writable_bytes(o_.gang.memory.parameters());
  for (std::size_t at = 0; at < weights.size(); at += kPieceBytes) {
    const std::span<std::byte> piece =
        weights.subspan(at, std::min(kPieceBytes, weights.size() - at));
    const std::string_view text(reinterpret_cast<const char*>(piece.data()), piece.size());
    TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> all,
                           o_.gang.gather(IsFirst() ? text : std::string_view()));
    TUTTI_CHECK(all[0].size() == piece.size(), all[0].size(), " bytes");
    if (!IsFirst() && o_.gang.memory.local_rank() == 0) {
      std::memcpy(piece.data(), all[0].data(), piece.size());
    }
  }
  TUTTI_RETURN_IF_ERROR(o_.gang.gather(""));  // nobody reads them before they are whole
  return {};
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
