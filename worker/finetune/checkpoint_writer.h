// Writes checkpoints beside training: the state is copied, then hashed and written by a thread of
// its own. At most one is under way. Owned by the gang's rank 0; its methods are for one thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/result.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/exchange/node_memory.h"

namespace tutti::finetune {

class CheckpointWriter {
 public:
  struct Committed {
    checkpoint::Committed checkpoint;
    double write_seconds = 0;
    std::int64_t best_step = -1;  // -1: none
    std::size_t keep = 0;         // the newest that stay; 0 = all
  };
  struct Options {
    std::filesystem::path directory;
    std::uint32_t attempt = 0;
    std::string spec_digest;
    std::vector<checkpoint::TensorPlace> tensors;
    exchange::NodeMemory& memory;  // whose snapshot is used
    std::size_t keep = 0;          // newest that stay, at least 2; 0 = all
    // On the writer's thread, once the manifest is durable.
    std::function<void(const Committed&)> on_committed;
  };
  explicit CheckpointWriter(Options options);
  ~CheckpointWriter();  // waits for what is under way
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Copies weights and optimizer state of now and returns; waits first for the one under way. The
  // error is of an earlier one. kInvalid: a value was not finite; kDiskFull, kIo.
  Status Save(const checkpoint::Cursor& cursor, const std::map<std::string, double>& metrics);
  // The step that was saved last, and whether it is this one.
  bool Saved(std::int64_t step) const { return last_step_ == step; }
  // The error of what has been written so far, without waiting.
  Status Check();
  // Waits for what is under way.
  Status Finish();

 private:
  struct Request {
    checkpoint::Cursor cursor;
    std::map<std::string, double> metrics;
  };
  void Run();
  Status Write(const Request& request);

  Options options_;
  std::int64_t last_step_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Request> request_;  // being written
  Status status_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tutti::finetune
