#include "worker/exchange/node_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>

#include "tests/worker/exchange/gang.h"

namespace tutti::exchange {
namespace {

NodeMemory::Options Options(std::uint32_t size, std::uint32_t rank) {
  return {.layout = {.elements = 1000, .local_size = size, .shards = size, .generation = 3},
          .local_rank = rank};
}

TEST(NodeMemory, RegionsAreZeroAndSharedAndApart) {
  Gang gang(2, [](std::uint32_t rank, UniqueFd fd) {
    auto memory = NodeMemory::Attach(std::move(fd), Options(2, rank));
    if (!memory) return 1;
    for (const auto region : {memory->parameters(), memory->first_moments(), memory->snapshot(),
                              memory->second_moments(), memory->gradients(0, 0)}) {
      for (const float value : region) {
        if (value != 0) return 2;
      }
    }
    if (!memory->Barrier()) return 3;
    if (rank == 0) {
      float next = 1;
      for (const auto region :
           {memory->parameters(), memory->first_moments(), memory->snapshot(),
            memory->second_moments(), memory->gradients(0, 0), memory->gradients(1, 0)}) {
        for (float& value : region) value = next++;
      }
    }
    if (!memory->Barrier()) return 4;
    return memory->parameters()[999] == 1000 && memory->gradients(1, 0)[999] == 8000 ? 0 : 5;
  });
  EXPECT_THAT(gang.Wait(), testing::Each(0));
}

TEST(NodeMemory, RefusesAnotherLayoutOrAttempt) {
  UniqueFd fd(memfd_create("gang", MFD_CLOEXEC));
  auto first = NodeMemory::Attach(UniqueFd(dup(fd.get())), Options(1, 0));
  ASSERT_TRUE(first.has_value());
  const auto again = NodeMemory::Attach(UniqueFd(dup(fd.get())), Options(1, 0));
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, ErrorCode::kInvalid);

  Gang gang(2, [](std::uint32_t rank, UniqueFd memory) {
    auto options = Options(2, rank);
    options.layout.generation = 3 + rank;
    options.deadline = std::chrono::milliseconds(300);
    const auto attached = NodeMemory::Attach(std::move(memory), options);
    return attached ? 1 : static_cast<int>(attached.error().code) + 10;
  });
  EXPECT_EQ(gang.Wait()[1], static_cast<int>(ErrorCode::kInvalid) + 10);
}

TEST(NodeMemory, ThousandsOfBarriersKeepRanksInStep) {
  constexpr int kRounds = 3000;
  Gang gang(4, [](std::uint32_t rank, UniqueFd fd) {
    auto memory = NodeMemory::Attach(std::move(fd), Options(4, rank));
    if (!memory) return 1;
    for (int round = 1; round <= kRounds; ++round) {
      memory->parameters()[rank] = static_cast<float>(round);
      if (!memory->Barrier()) return 2;
      for (int peer = 0; peer < 4; ++peer) {
        if (memory->parameters()[static_cast<std::size_t>(peer)] != static_cast<float>(round)) {
          return 3;
        }
      }
      if (!memory->Barrier()) return 4;
    }
    return 0;
  });
  EXPECT_THAT(gang.Wait(), testing::Each(0));
}

TEST(NodeMemory, AllGatherCarriesPiecesOfAnySize) {
  Gang gang(4, [](std::uint32_t rank, UniqueFd fd) {
    auto memory = NodeMemory::Attach(std::move(fd), Options(4, rank));
    if (!memory) return 1;
    const auto text = [](std::uint32_t r) {
      return std::string(r == 1 ? 0 : r * 100'000 + 3, static_cast<char>('a' + r));
    };
    for (int round = 0; round < 2; ++round) {
      const auto all = memory->AllGather(text(rank));
      if (!all) return 2;
      for (std::uint32_t peer = 0; peer < 4; ++peer) {
        if ((*all)[peer] != text(peer)) return 3;
      }
    }
    return 0;
  });
  EXPECT_THAT(gang.Wait(), testing::Each(0));
}

TEST(NodeMemory, AKilledPeerEndsTheBarrier) {
  Gang gang(4, [](std::uint32_t rank, UniqueFd fd) {
    auto memory = NodeMemory::Attach(std::move(fd), Options(4, rank));
    if (!memory || !memory->Barrier()) return 1;
    if (rank == 2) raise(SIGKILL);
    const Status status = memory->Barrier();
    if (status) return 2;
    return status.error().code == ErrorCode::kUnavailable &&
                   status.error().message.find("local rank 2 died") != std::string::npos
               ? 0
               : 3;
  });
  EXPECT_THAT(gang.Wait(), testing::ElementsAre(0, 0, -SIGKILL, 0));
}

TEST(NodeMemory, AnAbortTellsPeersWhy) {
  Gang gang(2, [](std::uint32_t rank, UniqueFd fd) {
    auto memory = NodeMemory::Attach(std::move(fd), Options(2, rank));
    if (!memory || !memory->Barrier()) return 1;
    if (rank == 1) {
      memory->Abort("no more memory");
      return 0;
    }
    const Status status = memory->Barrier();
    return !status && status.error().message.find("no more memory") != std::string::npos ? 0 : 2;
  });
  EXPECT_THAT(gang.Wait(), testing::Each(0));
}

TEST(NodeMemory, ABarrierHasADeadline) {
  Gang gang(2, [](std::uint32_t rank, UniqueFd fd) {
    auto options = Options(2, rank);
    options.deadline = std::chrono::milliseconds(100);
    auto memory = NodeMemory::Attach(std::move(fd), options);
    if (!memory) return 1;
    if (rank == 1) pause();
    const Status status = memory->Barrier();
    return !status && status.error().code == ErrorCode::kTimeout ? 0 : 2;
  });
  int status = 0;
  waitpid(gang.pids[0], &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  kill(gang.pids[1], SIGKILL);
  waitpid(gang.pids[1], &status, 0);
}

}  // namespace
}  // namespace tutti::exchange
