// BlobCollector: removes blobs that nothing needs: no unfinished job, none that finished within the
// grace time, no model, and nobody who uploaded it or asked for it within the grace time (a submit
// under way has just done so).
//
// A thread of its own looks every now and then, and when asked. Start, Stop and the destructor
// belong to one thread; Ask to any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "common/base/result.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/coordinator/models.h"
#include "scheduler/registry/blob_store.h"

namespace tutti::coordinator {

struct CollectedBlobs {
  std::uint64_t removed = 0;  // or that would be
  std::uint64_t bytes = 0;    // of those
};

class BlobCollector {
 public:
  // All of it outlives the collector.
  BlobCollector(Loop& loop, const Models& models, const registry::BlobStore& blobs, Duration grace)
      : loop_(loop), models_(models), blobs_(blobs), grace_(grace) {}
  ~BlobCollector() { Stop(); }
  BlobCollector(const BlobCollector&) = delete;
  BlobCollector& operator=(const BlobCollector&) = delete;

  struct Request {
    std::optional<Duration> grace = {};  // none: the collector's own
    bool dry_run = false;
    std::function<void(const Result<CollectedBlobs>&)> done = nullptr;
  };

  void Start();
  void Stop();
  // Now. `done` runs exactly once, on the collector's thread or here. kConflict while another is
  // asked for or a backup needs all of them; kUnavailable when the collector has stopped.
  void Ask(Request request);
  // Held while blobs are removed: who holds it needs them all.
  std::mutex& collecting() { return collecting_; }

 private:
  void Run();
  void CollectInTurn();
  Result<CollectedBlobs> Collect(Duration grace, bool dry_run);
  Result<std::set<Digest>> Wanted(Duration grace);

  Loop& loop_;
  const Models& models_;
  const registry::BlobStore& blobs_;
  const Duration grace_;
  std::mutex collecting_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  std::optional<Request> asked_;
  std::thread thread_;
};

}  // namespace tutti::coordinator
