#include "scheduler/coordinator/blob_collector.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "scheduler/coordinator/on_loop.h"

namespace tutti::coordinator {
namespace {

constexpr std::size_t kJobsAtOnce = 500;  // looked at between two rounds
constexpr Duration kEveryMin = std::chrono::milliseconds(200);
constexpr Duration kEveryMax = std::chrono::hours(1);

// Every digest in a text: a spec names its inputs by them, whatever else it says.
void AddDigests(std::string_view text, std::set<Digest>& into) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr std::size_t kLength = kPrefix.size() + 64;
  for (std::size_t at = text.find(kPrefix); at != std::string_view::npos;
       at = text.find(kPrefix, at + 1)) {
    if (const auto digest = Digest::Parse(std::string(text.substr(at, kLength)))) {
      into.insert(*digest);
    }
  }
}

struct SpecsPage {
  std::vector<std::string> specs;
  std::uint64_t last = 0;  // sequence; 0 = there are no more
};

// Specs of jobs after `after` that have not finished, or only since `recent`.
Result<SpecsPage> ReadSpecs(const View& view, std::uint64_t after, WallTime recent) {
  const core::Ledger& ledger = view.state->ledger;
  SpecsPage page;
  std::size_t seen = 0;
  for (auto it = ledger.by_sequence.upper_bound(after); it != ledger.by_sequence.end(); ++it) {
    if (++seen > kJobsAtOnce) return page;
    page.last = it->first;
    const core::Job& job = ledger.jobs.at(it->second);
    if (!core::IsFinished(job) || job.finished_at.value_or(recent) >= recent) {
      page.specs.push_back(job.spec_json);
    }
  }
  page.last = 0;
  return page;
}

}  // namespace

void BlobCollector::Start() {
  thread_ = std::thread([this] { Run(); });
}

void BlobCollector::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (const auto left = std::exchange(asked_, std::nullopt)) {
    left->done(Fail(ErrorCode::kUnavailable, "the coordinator stops"));
  }
}

void BlobCollector::Ask(Request request) {
  Error refusal;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      refusal = {ErrorCode::kUnavailable, "the coordinator stops"};
    } else if (asked_) {
      refusal = {ErrorCode::kConflict, "blobs are being collected already", {}, "wait for it"};
    } else {
      asked_ = std::move(request);
      wake_.notify_all();
      return;
    }
  }
  request.done(Fail(std::move(refusal)));
}

void BlobCollector::Run() {
  const Duration every = std::clamp(grace_ / 4, kEveryMin, kEveryMax);
  Instant due = MonotonicNow() + every;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, due - MonotonicNow(), [&] { return stopping_ || asked_; });
    if (stopping_) return;
    if (const auto asked = std::exchange(asked_, std::nullopt)) {
      lock.unlock();
      asked->done(Collect(asked->grace.value_or(grace_), asked->dry_run));
      lock.lock();
    } else if (MonotonicNow() >= due) {
      lock.unlock();
      CollectInTurn();
      due = MonotonicNow() + every;
      lock.lock();
    }
  }
}

void BlobCollector::CollectInTurn() {
  const auto collected = Collect(grace_, /*dry_run=*/false);
  if (!collected && collected.error().code != ErrorCode::kConflict) {
    Log(kWarning, "blobs_not_collected", {{"error", collected.error().ToString()}});
  }
}

// Everything that a job or a model names.
Result<std::set<Digest>> BlobCollector::Wanted(Duration grace) {
  const WallTime recent{WallNow().unix_ms -
                        std::chrono::duration_cast<std::chrono::milliseconds>(grace).count()};
  std::set<Digest> wanted;
  std::uint64_t after = 0;
  do {
    TUTTI_ASSIGN_OR_RETURN(const SpecsPage page, OnLoop(loop_, [after, recent](const View& view) {
                             return ReadSpecs(view, after, recent);
                           }));
    for (const std::string& spec : page.specs) AddDigests(spec, wanted);
    after = page.last;
  } while (after != 0);
  for (const registry::ModelRecord& model : *models_.Records()) {
    for (const registry::ModelFile& file : model.files) wanted.insert(file.digest);
  }
  return wanted;
}

// First those nobody touched for the grace time, then whether anything names them: what is named
// from now on is touched first, and the removal looks at that again.
Result<CollectedBlobs> BlobCollector::Collect(Duration grace, bool dry_run) {
  const std::unique_lock alone(collecting_, std::try_to_lock);
  if (!alone) {
    return Fail(ErrorCode::kConflict, "a backup is being made, which needs all blobs", {},
                "try again when it is done");
  }
  TUTTI_ASSIGN_OR_RETURN(const std::set<Digest> untouched, blobs_.Untouched(grace));
  CollectedBlobs collected;
  if (untouched.empty()) return collected;
  TUTTI_ASSIGN_OR_RETURN(const std::set<Digest> wanted, Wanted(grace));
  for (const Digest& digest : untouched) {
    if (wanted.contains(digest)) continue;
    std::optional<Bytes> freed;
    if (!dry_run) {
      TUTTI_ASSIGN_OR_RETURN(freed, blobs_.RemoveUntouched(digest, grace));
    } else if (const auto size = blobs_.Size(digest)) {
      freed = *size;
    }
    if (!freed) continue;
    ++collected.removed;
    collected.bytes += static_cast<std::uint64_t>(freed->count);
  }
  if (!dry_run && collected.removed > 0) {
    Log(kInfo, "blobs_collected", {{"blobs", collected.removed}, {"bytes", collected.bytes}});
  }
  return collected;
}

}  // namespace tutti::coordinator
