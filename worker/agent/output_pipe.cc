#include "worker/agent/output_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <utility>

namespace tutti::agent {
namespace {

constexpr std::size_t kOutputRoundBytes = 256 << 10;  // of one child, before others have their turn

}  // namespace

Result<std::unique_ptr<OutputPipe>> OutputPipe::Create(Loop& loop, UniqueFd& theirs,
                                                       OnData on_data) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Fail(ErrnoError("cannot make a pipe", "", errno));
  UniqueFd ours(ends[0]);
  theirs = UniqueFd(ends[1]);
  // Ours alone: a child does not expect EAGAIN of its output.
  if (fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) {
    return Fail(ErrnoError("cannot make a pipe non-blocking", "", errno));
  }
  return std::unique_ptr<OutputPipe>(new OutputPipe(loop, std::move(ours), std::move(on_data)));
}

OutputPipe::OutputPipe(Loop& loop, UniqueFd fd, OnData on_data)
    : loop_(loop), fd_(std::move(fd)), on_data_(std::move(on_data)) {
  loop_.Watch(fd_.get(), EPOLLIN, [this](std::uint32_t) { Read(kOutputRoundBytes); });
}

OutputPipe::~OutputPipe() {
  if (fd_) loop_.Forget(fd_.get());
}

void OutputPipe::Drain() { Read(std::numeric_limits<std::size_t>::max()); }

void OutputPipe::Read(std::size_t max_bytes) {
  std::array<char, 64 << 10> data{};
  while (fd_ && max_bytes > 0) {
    const ssize_t size = read(fd_.get(), data.data(), std::min(data.size(), max_bytes));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      loop_.Forget(fd_.get());
      fd_.Reset();
      return;
    }
    max_bytes -= static_cast<std::size_t>(size);
    on_data_({data.data(), static_cast<std::size_t>(size)});
  }
}

}  // namespace tutti::agent
