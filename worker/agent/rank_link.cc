#include "worker/agent/rank_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <utility>

namespace tutti::agent {
namespace {

constexpr std::size_t kMessageRoundBytes = 256 << 10;  // of one rank, before others have their turn

}  // namespace

Result<std::unique_ptr<RankLink>> RankLink::Create(Loop& loop, UniqueFd& theirs, OnLine on_line,
                                                   OnError on_error) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return Fail(ErrnoError("cannot make a socket for a rank", "", errno));
  }
  theirs = UniqueFd(pair[1]);
  return std::unique_ptr<RankLink>(
      new RankLink(loop, UniqueFd(pair[0]), std::move(on_line), std::move(on_error)));
}

RankLink::RankLink(Loop& loop, UniqueFd fd, OnLine on_line, OnError on_error)
    : loop_(loop),
      fd_(std::move(fd)),
      on_line_(std::move(on_line)),
      on_error_(std::move(on_error)) {
  loop_.Watch(fd_.get(), EPOLLIN, [this](std::uint32_t events) { OnReady(events); });
}

RankLink::~RankLink() { Close(); }

void RankLink::Close() {
  if (!fd_) return;
  loop_.Forget(fd_.get());
  fd_.Reset();
}

void RankLink::Send(const enginelink::ToEngine& message) {
  unsent_ += enginelink::Encode(message);
  Write();
}

void RankLink::OnReady(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) Write();
  if (fd_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read(kMessageRoundBytes);
}

void RankLink::Drain() { Read(std::numeric_limits<std::size_t>::max()); }

void RankLink::Write() {
  while (fd_ && !unsent_.empty()) {
    const ssize_t sent =
        send(fd_.get(), unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) unsent_.clear();  // the rank is gone; its exit comes
    if (sent < 0) break;
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
  if (fd_ && writing_ != !unsent_.empty()) {
    writing_ = !unsent_.empty();
    loop_.Change(fd_.get(), writing_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

void RankLink::Read(std::size_t max_bytes) {
  std::array<char, 64 << 10> data{};
  while (fd_ && max_bytes > 0) {
    const ssize_t size =
        recv(fd_.get(), data.data(), std::min(data.size(), max_bytes), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return Close();
    max_bytes -= static_cast<std::size_t>(size);
    const Status appended = lines_.Append({data.data(), static_cast<std::size_t>(size)});
    while (auto line = lines_.Next()) on_line_(std::move(*line));
    if (!appended) {
      Close();
      return on_error_(appended.error());
    }
  }
}

}  // namespace tutti::agent
