// Backups: consistent copies of the data directory while the coordinator serves. First the state
// database, by SQLite's online backup between rounds; then everything it refers to: blobs never
// change and are linked where the disk allows it, and none is collected meanwhile. So every job and
// model of the copied database is whole in the copy, whatever was submitted while it was made.
//
// A copy appears under its name when it is complete. One at a time, on a thread of its own; Start
// and Stop on any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include "common/base/result.h"
#include "scheduler/coordinator/loop.h"

namespace tutti::coordinator {

struct BackupReport {
  std::filesystem::path path;
  std::uint64_t jobs = 0;  // in the ledger and the archive
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;         // of all files
  std::uint64_t bytes_linked = 0;  // of those that take no room of their own
  Duration took{};
};

class Backups {
 public:
  // `collecting` is held by whoever removes blobs. All of it outlives the backups.
  Backups(Loop& loop, std::filesystem::path data_dir, std::mutex& collecting)
      : loop_(loop), data_dir_(std::move(data_dir)), collecting_(collecting) {}
  ~Backups() { Stop(); }
  Backups(const Backups&) = delete;
  Backups& operator=(const Backups&) = delete;

  using Done = std::function<void(const Result<BackupReport>&)>;
  // To the folder `where`: absolute, not there yet or empty. kInvalid; kConflict while another is
  // made. `done` runs once, on the backup's thread, when this returned Ok.
  Status Start(const std::filesystem::path& where, Done done);
  // What is under way is given up and removed.
  void Stop();

 private:
  Result<BackupReport> Make(const std::filesystem::path& to);
  Result<BackupReport> Fill(const std::filesystem::path& folder);
  // How many jobs the copy has.
  Result<std::uint64_t> CopyState(const std::filesystem::path& to);

  Loop& loop_;
  const std::filesystem::path data_dir_;
  std::mutex& collecting_;
  std::mutex mutex_;  // of Start and Stop
  std::thread thread_;
  std::atomic<bool> running_ = false;
  std::atomic<bool> stopping_ = false;
};

}  // namespace tutti::coordinator
