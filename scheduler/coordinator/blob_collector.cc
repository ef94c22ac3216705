#include "scheduler/coordinator/blob_collector.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
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

struct Page {
  std::vector<std::string> specs;
  std::uint64_t last = 0;  // sequence; 0 = there are no more
};

// Specs of jobs after `after` that have not finished, or only since `recent`.
Result<Page> ReadSpecs(const View& view, std::uint64_t after, WallTime recent) {
  const core::Ledger& ledger = view.state->ledger;
  Page page;
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
}

void BlobCollector::Run() {
  const Duration every = std::clamp(grace_ / 4, kEveryMin, kEveryMax);
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, every, [&] { return stopping_; })) {
    lock.unlock();
    const auto collected = Collect();
    if (!collected) {
      Log(kWarning, "blobs_not_collected", {{"error", collected.error().ToString()}});
    } else if (collected->count > 0) {
      Log(kInfo, "blobs_collected", {{"blobs", collected->count}, {"bytes", collected->bytes}});
    }
    lock.lock();
  }
}

// First those nobody touched for the grace time, then whether anything refers to them: what is
// referred to from now on is touched first, and the removal looks at that again.
Result<CollectedBlobs> BlobCollector::Collect() {
  const std::int64_t grace_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(grace_).count();
  const WallTime before{WallNow().unix_ms - grace_ms};
  const std::lock_guard alone(collecting_);
  TUTTI_ASSIGN_OR_RETURN(std::set<Digest> old, blobs_.TouchedBefore(before));
  if (old.empty()) return CollectedBlobs{};
  std::set<Digest> wanted;
  std::uint64_t after = 0;
  do {
    TUTTI_ASSIGN_OR_RETURN(const Page page, OnLoop(loop_, [after, before](const View& view) {
                             return ReadSpecs(view, after, before);
                           }));
    for (const std::string& spec : page.specs) AddDigests(spec, wanted);
    after = page.last;
  } while (after != 0);
  for (const registry::ModelRecord& model : *models_.Records()) {
    for (const registry::ModelFile& file : model.files) wanted.insert(file.digest);
  }
  CollectedBlobs collected;
  for (const Digest& digest : old) {
    if (wanted.contains(digest)) continue;
    TUTTI_ASSIGN_OR_RETURN(const auto freed, blobs_.RemoveIfTouchedBefore(digest, before));
    if (!freed) continue;
    ++collected.count;
    collected.bytes += static_cast<std::uint64_t>(freed->count);
  }
  return collected;
}

}  // namespace tutti::coordinator
