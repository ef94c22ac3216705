// Links between the machines of a test's gang: a socket pair for each rank and pair of machines.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "worker/exchange/machines.h"

namespace tutti::exchange {

using SocketsByMachine = std::map<std::uint32_t, int>;  // counterpart's machine -> our end

// Made before the ranks are forked; every process holds all ends.
class SocketMesh {
 public:
  SocketMesh(std::uint32_t machines, std::uint32_t ranks) {
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      for (std::uint32_t a = 0; a < machines; ++a) {
        for (std::uint32_t b = a + 1; b < machines; ++b) {
          int ends[2];
          EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
          ends_[{a, rank}][b] = ends[0];
          ends_[{b, rank}][a] = ends[1];
        }
      }
    }
  }
  ~SocketMesh() {
    for (const auto& [place, sockets] : ends_) {
      for (const auto& [machine, fd] : sockets) close(fd);
    }
  }
  SocketMesh(const SocketMesh&) = delete;
  SocketMesh& operator=(const SocketMesh&) = delete;

  SocketsByMachine Sockets(std::uint32_t machine, std::uint32_t rank) const {
    const auto found = ends_.find({machine, rank});
    return found == ends_.end() ? SocketsByMachine{} : found->second;
  }
  // This process's copies of the ends of one rank.
  void Close(std::uint32_t machine, std::uint32_t rank) const {
    for (const auto& [peer, fd] : Sockets(machine, rank)) shutdown(fd, SHUT_RDWR);
  }

 private:
  std::map<std::pair<std::uint32_t, std::uint32_t>, SocketsByMachine> ends_;
};

class SocketLink final : public PeerLink {
 public:
  explicit SocketLink(SocketsByMachine sockets) : sockets_(std::move(sockets)) {}

  Status Start(std::uint32_t machine, std::span<const std::byte> send,
               std::span<std::byte> receive) override {
    EXPECT_LT(swaps_[machine].size(), kSwapsMax);
    swaps_[machine].push_back({sockets_.at(machine), send, receive});
    return {};
  }

  Result<bool> Poll(std::uint32_t machine) override {
    Swap& swap = swaps_[machine].front();
    if (!swap.receive.empty()) {
      const ssize_t got = read(swap.fd, swap.receive.data(), swap.receive.size());
      if (got == 0 || (got < 0 && errno != EAGAIN)) return Gone();
      if (got > 0) swap.receive = swap.receive.subspan(static_cast<std::size_t>(got));
    }
    if (!swap.send.empty()) {
      const ssize_t put = send(swap.fd, swap.send.data(), swap.send.size(), MSG_NOSIGNAL);
      if (put < 0 && errno != EAGAIN) return Gone();
      if (put > 0) swap.send = swap.send.subspan(static_cast<std::size_t>(put));
    }
    if (!swap.send.empty() || !swap.receive.empty()) return false;
    swaps_[machine].pop_front();
    return true;
  }

  Status Finish(std::uint32_t machine) override {
    while (true) {
      TUTTI_ASSIGN_OR_RETURN(const bool over, Poll(machine));
      if (over) return {};
      const Swap& swap = swaps_[machine].front();
      const short wanted = static_cast<short>((swap.send.empty() ? 0 : POLLOUT) |
                                              (swap.receive.empty() ? 0 : POLLIN));
      pollfd ready{swap.fd, wanted, 0};
      if (poll(&ready, 1, 20'000) == 0) return Fail(ErrorCode::kTimeout, "no answer");
    }
  }

 private:
  struct Swap {
    int fd;
    std::span<const std::byte> send;
    std::span<std::byte> receive;
  };
  static Unexpected Gone() { return Fail(ErrorCode::kUnavailable, "the other machine is gone"); }

  SocketsByMachine sockets_;
  std::map<std::uint32_t, std::deque<Swap>> swaps_;
};

}  // namespace tutti::exchange
