#include "worker/agent/children.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/log.h"

namespace tutti::agent {
namespace {

UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// The leader through its pidfd, which no other process can have taken over; its group by number,
// which stays taken while the leader has not been reaped or a member lives.
void KillGroup(pid_t pid, const UniqueFd& pidfd) {
  if (pidfd) syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  kill(-pid, SIGKILL);
}

}  // namespace

Children::Children(Options options)
    : loop_(options.loop),
      on_zygote_died_(std::move(options.on_zygote_died)),
      zygote_({.loop = options.loop,
               .command = std::move(options.engine),
               .log_path = std::move(options.log_path),
               .on_spawned = [this](const enginelink::Spawned& spawned) { OnSpawned(spawned); },
               .on_exited =
                   [this](const enginelink::Exited& exited) {
                     Finish(exited.id, {.wait_status = exited.wait_status,
                                        .memory_peak_bytes = exited.memory_peak_bytes});
                   },
               .on_died = [this] { OnZygoteDied(); },
               .on_started = [this] { SendWaiting(); }}) {}

Children::~Children() {
  for (auto& [id, child] : children_) {
    if (child->orphan && child->pidfd) loop_.Forget(child->pidfd.get());
    if (child->pid > 0) KillGroup(child->pid, child->pidfd);
  }
}

Status Children::Start() { return zygote_.Start(); }

Children::Id Children::Spawn(enginelink::Spawn spawn, std::span<const int> fds, Handlers handlers) {
  const std::uint64_t id = ++last_id_;
  spawn.id = id;
  auto child = std::make_shared<Child>();
  child->handlers = std::move(handlers);
  children_.emplace(id, std::move(child));
  const Status sent = zygote_.Send(spawn, fds);
  if (sent) return Id{id};
  if (sent.error().code != ErrorCode::kUnavailable) {
    FailLater(id, sent.error());
    return Id{id};
  }
  Waiting waiting{.spawn = std::move(spawn), .fds = {}};
  for (const int fd : fds) {
    waiting.fds.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!waiting.fds.back()) {
      FailLater(id, ErrnoError("cannot keep a descriptor", "", errno));
      return Id{id};
    }
  }
  waiting_.push_back(std::move(waiting));
  return Id{id};
}

void Children::SendWaiting() {
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    std::vector<int> fds;
    for (const UniqueFd& fd : waiting.fds) fds.push_back(fd.get());
    if (children_.find(waiting.spawn.id) == children_.end()) continue;  // abandoned
    if (const Status sent = zygote_.Send(waiting.spawn, fds); !sent) {
      FailLater(waiting.spawn.id, sent.error());
    }
  }
}

void Children::FailLater(std::uint64_t id, Error error) {
  loop_.Post([this, id, error = std::move(error)] {
    const auto found = children_.find(id);
    if (found == children_.end()) return;
    const std::shared_ptr<Child> child = found->second;
    children_.erase(found);
    if (!child->abandoned) child->handlers.on_spawned(Fail(error));
  });
}

bool Children::IsWaiting(std::uint64_t id) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Waiting& waiting) { return waiting.spawn.id == id; });
}

void Children::OnSpawned(const enginelink::Spawned& spawned) {
  const auto found = children_.find(spawned.id);
  if (found == children_.end()) return;
  const std::shared_ptr<Child> child = found->second;
  if (spawned.pid <= 0) {
    children_.erase(found);
    if (!child->abandoned) {
      child->handlers.on_spawned(Fail(ErrorCode::kInternal, spawned.error, "zygote"));
    }
    return;
  }
  child->pid = spawned.pid;
  child->pidfd = OpenPidfd(spawned.pid);
  if (child->abandoned) {
    KillGroup(child->pid, child->pidfd);
  } else {
    child->handlers.on_spawned(spawned.pid);
  }
}

void Children::Kill(Id id) {
  const auto found = children_.find(static_cast<std::uint64_t>(id));
  if (found == children_.end() || found->second->pid <= 0) return;
  KillGroup(found->second->pid, found->second->pidfd);
}

void Children::Abandon(Id id) {
  const auto found = children_.find(static_cast<std::uint64_t>(id));
  if (found == children_.end()) return;
  found->second->abandoned = true;
  if (IsWaiting(found->first)) {
    children_.erase(found);
  } else {
    Kill(id);
  }
}

void Children::Finish(std::uint64_t id, Exit exit) {
  const auto found = children_.find(id);
  if (found == children_.end()) return;
  const std::shared_ptr<Child> child = found->second;
  if (child->orphan && child->pidfd) loop_.Forget(child->pidfd.get());
  children_.erase(found);
  kill(-child->pid, SIGKILL);  // processes it left behind
  if (!child->abandoned) child->handlers.on_exited(exit);
}

void Children::OnZygoteDied() {
  on_zygote_died_();
  std::vector<std::uint64_t> ids;
  for (const auto& [id, child] : children_) {
    if (!child->orphan && !IsWaiting(id)) ids.push_back(id);
  }
  for (const std::uint64_t id : ids) {
    const auto found = children_.find(id);
    if (found == children_.end()) continue;
    const std::shared_ptr<Child> child = found->second;
    if (child->pid > 0) {
      Adopt(id);
      continue;
    }
    children_.erase(found);  // never answered for: what may have been forked dies with the zygote
    if (!child->abandoned) {
      child->handlers.on_spawned(
          Fail(ErrorCode::kUnavailable, "the engine's zygote died", "", "it is started again"));
    }
  }
}

// Children of a dead zygote die too (pdeathsig), and are reaped here.
void Children::Adopt(std::uint64_t id) {
  Child& child = *children_.at(id);
  child.orphan = true;
  KillGroup(child.pid, child.pidfd);
  if (!child.pidfd) {  // it was gone before it could be watched
    loop_.Post([this, id] { ReapOrphan(id); });
    return;
  }
  loop_.Watch(child.pidfd.get(), EPOLLIN, [this, id](std::uint32_t) { ReapOrphan(id); });
}

void Children::ReapOrphan(std::uint64_t id) {
  const auto found = children_.find(id);
  if (found == children_.end()) return;
  int status = 0;
  // ECHILD: the zygote reaped it and died before it could say so; how it ended is lost.
  if (waitpid(found->second->pid, &status, WNOHANG) <= 0) status = SIGKILL;
  Finish(id, {.wait_status = status});
}

void Children::Reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (zygote_.Reaped(pid, status)) continue;
    for (const auto& [id, child] : children_) {
      if (child->pid != pid) continue;
      Finish(id, {.wait_status = status});
      break;
    }
  }
}

}  // namespace tutti::agent
