// One thread's event loop: descriptors (epoll), timers, and functions posted by other threads.
//
// Owned by the agent's main thread, which runs it. Everything but Post is for that thread only.
// A callback may watch, change and forget any descriptor, its own included.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/file/file.h"

namespace tutti::agent {

class Loop {
 public:
  using OnReady = std::function<void(std::uint32_t events)>;  // EPOLLIN, EPOLLOUT, EPOLLHUP …
  using Task = std::function<void()>;
  enum class TimerId : std::uint64_t {};

  static Result<std::unique_ptr<Loop>> Create();

  // REQUIRES: `fd` is open and not watched yet; Forget it before it is closed.
  void Watch(int fd, std::uint32_t events, OnReady on_ready);
  void Change(int fd, std::uint32_t events);
  void Forget(int fd);

  TimerId At(Instant when, Task task);  // once
  TimerId After(Duration delay, Task task) { return At(MonotonicNow() + delay, std::move(task)); }
  void Cancel(TimerId timer);

  // Runs `task` on the loop's thread. Any thread.
  void Post(Task task);

  // Runs after every round of callbacks.
  void AfterEachRound(Task task) { after_round_ = std::move(task); }

  void Run();  // until Stop
  void Stop() { stopped_ = true; }
  // One round: waits at most `limit` for something to happen.
  void RunOnce(Duration limit);

 private:
  struct Watched {
    std::uint64_t serial = 0;  // tells a descriptor from an earlier one of the same number
    std::shared_ptr<OnReady> on_ready;
  };

  Loop() = default;
  int WaitMs(Duration limit) const;
  void RunTimers();
  void RunPosted();

  UniqueFd epoll_;
  UniqueFd wake_;
  std::uint64_t next_serial_ = 1;
  std::map<int, Watched> watched_;
  std::map<std::pair<Instant, std::uint64_t>, Task> timers_;
  std::map<std::uint64_t, Instant> timer_instants_;
  Task after_round_;
  bool stopped_ = false;
  std::mutex mutex_;
  std::vector<Task> posted_;  // guarded by mutex_
};

}  // namespace tutti::agent
