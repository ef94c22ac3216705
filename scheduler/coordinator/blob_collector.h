// BlobCollector: removes blobs that nothing refers to: no unfinished job, none that finished
// lately, no model, and nobody who asked for or uploaded it lately (a submit under way has just
// done so). "Lately" is the grace time.
//
// A thread of its own looks every now and then. Start, Stop and the destructor belong to one
// thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "common/base/result.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/coordinator/models.h"
#include "scheduler/registry/blob_store.h"

namespace tutti::coordinator {

struct CollectedBlobs {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

class BlobCollector {
 public:
  // All of it outlives the collector.
  BlobCollector(Loop& loop, const Models& models, const registry::BlobStore& blobs, Duration grace)
      : loop_(loop), models_(models), blobs_(blobs), grace_(grace) {}
  ~BlobCollector() { Stop(); }
  BlobCollector(const BlobCollector&) = delete;
  BlobCollector& operator=(const BlobCollector&) = delete;

  void Start();
  void Stop();
  // Held while blobs are removed: who holds it needs them all.
  std::mutex& collecting() { return collecting_; }

 private:
  void Run();
  Result<CollectedBlobs> Collect();

  Loop& loop_;
  const Models& models_;
  const registry::BlobStore& blobs_;
  const Duration grace_;
  std::mutex collecting_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tutti::coordinator
