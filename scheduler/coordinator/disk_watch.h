// DiskWatch: tells the scheduler how full the coordinator's own disk is, and keeps room set aside
// on it (store/reserve.h). Of the loop's thread.
#pragma once

#include <filesystem>
#include <utility>

#include "common/file/file.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/store/reserve.h"

namespace tutti::coordinator {

class DiskWatch {
 public:
  explicit DiskWatch(std::filesystem::path directory) : directory_(std::move(directory)) {}

  void Tick(Round& round) {
    if (round.now() < next_) return;
    next_ = round.now() + kEvery;
    store::KeepReserve(directory_);
    const auto total = TotalSpace(directory_);
    const auto free = FreeSpace(directory_);
    if (!total || !free) return;
    round.Observe(core::StoreSeen{.disk_bytes = static_cast<std::uint64_t>(total->count),
                                  .disk_free_bytes = static_cast<std::uint64_t>(free->count)});
  }

 private:
  static constexpr Duration kEvery = std::chrono::seconds(1);
  std::filesystem::path directory_;
  Instant next_;
};

}  // namespace tutti::coordinator
