// The processes this worker's zygote starts for it: ranks and tools. Each is started, killed with
// its process group, and its end is told exactly once, whoever reaps it: the zygote, or this
// process as subreaper when the zygote died.
//
// Owned by the agent, on its loop's thread, which must be the program's main thread (zygote.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/enginelink/messages.h"
#include "common/file/file.h"
#include "worker/agent/loop.h"
#include "worker/agent/zygote.h"

namespace tutti::agent {

class Children {
 public:
  enum class Id : std::uint64_t {};

  struct Exit {
    int wait_status = 0;
    std::uint64_t memory_peak_bytes = 0;  // 0: unknown
  };
  // Called on the loop's thread, never from inside Spawn.
  struct Handlers {
    std::function<void(Result<pid_t>)> on_spawned;  // once
    std::function<void(Exit)> on_exited;            // once, if it was spawned
  };

  struct Options {
    Loop& loop;
    std::vector<std::string> engine;         // the program and its first arguments
    std::filesystem::path log_path;          // of the zygote
    std::function<void()> on_zygote_died{};  // before the ends of its children are told
  };
  explicit Children(Options options);
  ~Children();
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  Status Start();  // the zygote

  // `spawn.id` is filled in. The descriptors stay the caller's. While there is no zygote it waits
  // for the next one.
  Id Spawn(enginelink::Spawn spawn, std::span<const int> fds, Handlers handlers);
  // SIGKILL to it and its process group. Harmless when it is gone; again is no error.
  void Kill(Id id);
  // Its handlers are called no more; it is killed as soon as it shows itself.
  void Abandon(Id id);

  // Reaps what has ended: call on SIGCHLD.
  void Reap();

  pid_t zygote_pid() const { return zygote_.pid(); }
  bool empty() const { return children_.empty(); }

 private:
  struct Child {
    Handlers handlers;
    pid_t pid = 0;  // 0: asked for
    UniqueFd pidfd;
    bool orphan = false;  // its zygote is dead: this process reaps it
    bool abandoned = false;
  };

  // Asked for while there was no zygote.
  struct Waiting {
    enginelink::Spawn spawn;
    std::vector<UniqueFd> fds;
  };

  void SendWaiting();
  bool IsWaiting(std::uint64_t id) const;
  void FailLater(std::uint64_t id, Error error);
  void OnSpawned(const enginelink::Spawned& spawned);
  void OnZygoteDied();
  void Adopt(std::uint64_t id);
  void ReapOrphan(std::uint64_t id);
  void Finish(std::uint64_t id, Exit exit);

  Loop& loop_;
  std::function<void()> on_zygote_died_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Child>> children_;
  std::vector<Waiting> waiting_;
  Zygote zygote_;
};

}  // namespace tutti::agent
