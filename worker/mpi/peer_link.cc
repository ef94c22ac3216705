#include "worker/mpi/peer_link.h"

#include <mpi.h>

#include <array>
#include <climits>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "worker/mpi/await.h"

namespace tutti::mpi {
namespace {

constexpr int kTag = 7;

class WorldLink final : public exchange::PeerLink {
 public:
  explicit WorldLink(PeerLinkOptions options) : options_(std::move(options)) {
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  }
  ~WorldLink() override {
    for (auto& [machine, swaps] : swaps_) {
      for (Swap& swap : swaps) {
        for (MPI_Request& request : swap.requests) MPI_Cancel(&request);
      }
    }
  }

  Status Start(std::uint32_t machine, std::span<const std::byte> send,
               std::span<std::byte> receive) override {
    std::deque<Swap>& swaps = swaps_[machine];
    TUTTI_CHECK(swaps.size() < kSwapsMax, "swaps under way");
    TUTTI_CHECK(send.size() <= INT_MAX && receive.size() <= INT_MAX, send.size(), " bytes at once");
    const int peer = RankOn(machine);
    Swap& swap = swaps.emplace_back();
    const int received = MPI_Irecv(receive.data(), static_cast<int>(receive.size()), MPI_BYTE, peer,
                                   kTag, MPI_COMM_WORLD, &swap.requests[0]);
    if (received != MPI_SUCCESS) return Gone(peer);
    const int sent = MPI_Isend(send.data(), static_cast<int>(send.size()), MPI_BYTE, peer, kTag,
                               MPI_COMM_WORLD, &swap.requests[1]);
    return sent == MPI_SUCCESS ? Status() : Gone(peer);
  }

  Result<bool> Poll(std::uint32_t machine) override {
    std::deque<Swap>& swaps = swaps_[machine];
    TUTTI_CHECK(!swaps.empty(), "no swap is under way");
    int done = 0;
    if (MPI_Testall(2, swaps.front().requests.data(), &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) {
      return Gone(RankOn(machine));
    }
    if (done != 0) swaps.pop_front();
    return done != 0;
  }

  Status Finish(std::uint32_t machine) override {
    std::deque<Swap>& swaps = swaps_[machine];
    TUTTI_CHECK(!swaps.empty(), "no swap is under way");
    Swap swap = swaps.front();
    swaps.pop_front();
    TUTTI_ASSIGN_OR_RETURN(const Awaited awaited,
                           Await(swap.requests, options_.on_wait, options_.deadline));
    switch (awaited) {
      case Awaited::kDone:
        return {};
      case Awaited::kBroken:
        return Gone(RankOn(machine));
      case Awaited::kLate:
        break;
    }
    return Fail(ErrorCode::kTimeout,
                "rank " + std::to_string(RankOn(machine)) + " did not answer in time");
  }

 private:
  struct Swap {
    std::array<MPI_Request, 2> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  };
  static Unexpected Gone(int peer) {
    return Fail(ErrorCode::kUnavailable, "rank " + std::to_string(peer) + " cannot be reached");
  }
  int RankOn(std::uint32_t machine) const {
    return static_cast<int>(machine * options_.local_size + options_.local_rank);
  }

  PeerLinkOptions options_;
  std::map<std::uint32_t, std::deque<Swap>> swaps_;  // by machine, oldest first
};

}  // namespace

std::unique_ptr<exchange::PeerLink> MakePeerLink(PeerLinkOptions options) {
  return std::make_unique<WorldLink>(std::move(options));
}

}  // namespace tutti::mpi
