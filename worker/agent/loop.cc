#include "worker/agent/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/check.h"

namespace tutti::agent {

Result<std::unique_ptr<Loop>> Loop::Create() {
  std::unique_ptr<Loop> loop(new Loop());
  loop->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_) return Fail(ErrnoError("cannot make an epoll descriptor", "", errno));
  loop->wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_) return Fail(ErrnoError("cannot make an event descriptor", "", errno));
  const int wake = loop->wake_.get();
  loop->Watch(wake, EPOLLIN, [wake](std::uint32_t) {
    std::uint64_t count = 0;
    while (read(wake, &count, sizeof count) > 0) {
    }
  });
  return loop;
}

void Loop::Watch(int fd, std::uint32_t events, OnReady on_ready) {
  const std::uint64_t serial = next_serial_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = (serial << 24) | static_cast<std::uint32_t>(fd);
  TUTTI_CHECK(fd >= 0 && fd < (1 << 24), "descriptor ", fd);
  const bool fresh =
      watched_.emplace(fd, Watched{serial, std::make_shared<OnReady>(std::move(on_ready))}).second;
  TUTTI_CHECK(fresh, "descriptor ", fd, " is watched already");
  TUTTI_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0, "errno ", errno);
}

void Loop::Change(int fd, std::uint32_t events) {
  const auto it = watched_.find(fd);
  TUTTI_CHECK(it != watched_.end(), "descriptor ", fd);
  epoll_event event{};
  event.events = events;
  event.data.u64 = (it->second.serial << 24) | static_cast<std::uint32_t>(fd);
  TUTTI_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0, "errno ", errno);
}

void Loop::Forget(int fd) {
  if (watched_.erase(fd) == 0) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Loop::TimerId Loop::At(Instant when, Task task) {
  const std::uint64_t serial = next_serial_++;
  timers_.emplace(std::pair(when, serial), std::move(task));
  timer_instants_.emplace(serial, when);
  return TimerId{serial};
}

void Loop::Cancel(TimerId timer) {
  const auto serial = static_cast<std::uint64_t>(timer);
  const auto it = timer_instants_.find(serial);
  if (it == timer_instants_.end()) return;
  timers_.erase(std::pair(it->second, serial));
  timer_instants_.erase(it);
}

void Loop::Post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

int Loop::WaitMs(Duration limit) const {
  Duration wait = limit;
  if (!timers_.empty()) wait = std::min(wait, timers_.begin()->first.first - MonotonicNow());
  if (wait <= Duration::zero()) return 0;
  // Rounded up: a timer that is due in 0.4 ms must not make the loop spin until then.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return static_cast<int>(std::min<std::int64_t>(ms, 60'000));
}

void Loop::RunTimers() {
  const Instant now = MonotonicNow();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_instants_.erase(node.key().second);
    node.mapped()();
  }
}

void Loop::RunPosted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void Loop::RunOnce(Duration limit) {
  std::array<epoll_event, 64> events{};
  const int count =
      epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), WaitMs(limit));
  TUTTI_CHECK(count >= 0 || errno == EINTR, "epoll_wait: errno ", errno);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    const auto it = watched_.find(static_cast<int>(tag & 0xFFFFFF));
    if (it == watched_.end() || it->second.serial != tag >> 24) continue;  // forgotten this round
    const std::shared_ptr<OnReady> on_ready = it->second.on_ready;
    (*on_ready)(events[static_cast<std::size_t>(i)].events);
  }
  RunPosted();
  RunTimers();
  if (after_round_) after_round_();
}

void Loop::Run() {
  while (!stopped_) RunOnce(std::chrono::seconds(60));
}

}  // namespace tutti::agent
