// Models: the finished models as the ledger and the archive have them, and the making of their
// folders.
//
// Add, Load and Retry belong to the loop's thread; Records to any.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "scheduler/coordinator/loop.h"
#include "scheduler/registry/model_store.h"

namespace tutti::coordinator {

class Models {
 public:
  explicit Models(const registry::ModelStore& store) : store_(store) {}

  // All of them at start; folders that a crash left unmade are made.
  Status Load(const View& view);
  // A job that has succeeded: makes its folder. What fails (a full disk) is tried again by Retry.
  void Add(const core::Job& job);
  void Retry(Instant now);

  std::shared_ptr<const std::vector<registry::ModelRecord>> Records() const;

 private:
  void Publish(std::vector<registry::ModelRecord> records);
  void Assemble(const registry::ModelRecord& record);

  const registry::ModelStore& store_;
  std::set<JobId> unmade_;
  Instant next_retry_;
  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<registry::ModelRecord>> records_ =
      std::make_shared<const std::vector<registry::ModelRecord>>();
};

// The blobs a succeeded job's model is made of; kInvalid for a digest or path that is none.
Result<std::vector<registry::ModelFile>> ModelFilesOf(const std::vector<core::ModelFile>& files);

}  // namespace tutti::coordinator
