// The zygote of tutti-engine: one process that has loaded LibTorch and forks ranks and tools from
// it. This is the worker's end: it starts the program, sends it Spawn packets, hears what became of
// the children, and starts a new one with back-off when it dies.
//
// Owned by the agent. Start from the thread that lives as long as the process: the zygote dies with
// the thread that started it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/enginelink/messages.h"
#include "common/file/file.h"
#include "worker/agent/loop.h"

namespace tutti::agent {

class Zygote {
 public:
  struct Options {
    Loop& loop;
    std::vector<std::string> command;  // the program and what goes before "zygote --fd N"
    std::filesystem::path log_path;    // its stdout and stderr
    std::function<void(const enginelink::Spawned&)> on_spawned;
    std::function<void(const enginelink::Exited&)> on_exited;
    std::function<void()> on_died;          // all its children are dying too (pdeathsig)
    std::function<void()> on_started = {};  // it can be sent to, each time
  };

  explicit Zygote(Options options) : options_(std::move(options)) {}
  ~Zygote();
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;

  // The first start; later ones happen by themselves.
  Status Start();

  // kUnavailable while there is no zygote. The descriptors stay the caller's.
  Status Send(const enginelink::Spawn& spawn, std::span<const int> fds);

  pid_t pid() const { return pid_; }  // 0 while there is none
  // The agent reaped a child of this process: true if it was the zygote.
  bool Reaped(pid_t pid, int wait_status);

 private:
  Status Launch();
  void LaunchAgainLater();
  void OnReadable();
  void HandleDeath();

  Options options_;
  UniqueFd socket_;
  pid_t pid_ = 0;
  Instant started_at_;
  Duration back_off_ = std::chrono::milliseconds(100);
  std::optional<Loop::TimerId> restart_;
};

}  // namespace tutti::agent
