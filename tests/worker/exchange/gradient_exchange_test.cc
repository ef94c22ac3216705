#include "worker/exchange/gradient_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "tests/worker/exchange/gang.h"
#include "tests/worker/exchange/socket_link.h"
#include "worker/exchange/sum.h"

namespace tutti::exchange {
namespace {

constexpr std::uint32_t kShards = 8;
constexpr std::uint64_t kElements = 5 * kBlockElements + 777;
constexpr int kSteps = 3;

struct Outcome {
  std::vector<float> parameters;
  std::vector<double> norms;
  std::vector<double> losses;
  bool operator==(const Outcome&) const = default;
};

// A shard's gradient is a function of step and shard alone, as in training.
void FillGradient(std::span<float> gradient, int step, std::uint32_t shard) {
  std::minstd_rand generator(1 + static_cast<unsigned>(step) * 100 + shard);
  for (float& value : gradient) {
    value = static_cast<float>(generator()) / static_cast<float>(std::minstd_rand::max()) - 0.3f;
  }
}

// The last own shard as backward makes it: from the end, and what is not final yet is nonsense.
void FillFromTheEnd(GradientExchange& exchange, int step, std::uint32_t shard) {
  const std::span<float> gradient = exchange.gradient();
  std::vector<float> final(gradient.size());
  FillGradient(final, step, shard);
  std::ranges::fill(gradient, std::nanf(""));
  const std::size_t pieces = 3 + shard;
  for (std::size_t piece = pieces; piece-- > 0;) {
    const std::size_t from = gradient.size() * piece / pieces;
    const std::size_t to = gradient.size() * (piece + 1) / pieces;
    std::copy(final.begin() + static_cast<std::ptrdiff_t>(from),
              final.begin() + static_cast<std::ptrdiff_t>(to),
              gradient.begin() + static_cast<std::ptrdiff_t>(from));
    exchange.FinishFrom(from);
  }
}

// What a test's ranks write and its parent reads; by rank of the gang.
struct Board {
  double norms[8][kSteps];
  double losses[8][kSteps];
  std::uint64_t control[8][kSteps];
  float parameters[kElements];
};

// One rank of `size` on machine `machines.index`. 0, or which part failed.
int TrainRank(Board& board, UniqueFd fd, std::uint32_t local_rank, std::uint32_t size,
              Machines machines) {
  const std::uint32_t rank = machines.index * size + local_rank;
  const std::uint32_t shards = kShards / (size * machines.count);
  auto memory = NodeMemory::Attach(std::move(fd), {.layout = {.elements = kElements,
                                                              .local_size = size,
                                                              .gradient_levels = LevelsFor(shards),
                                                              .shards = kShards},
                                                   .local_rank = local_rank});
  if (!memory) return 1;
  const auto exchange = MakeNodeExchange(*memory, machines);
  for (int step = 0; step < kSteps; ++step) {
    for (std::uint32_t own = 0; own < exchange->shards(); ++own) {
      const std::uint32_t shard = exchange->first_shard() + own;
      // A shard without rows is never told to be final.
      if (own + 1 == exchange->shards() && (shard + static_cast<unsigned>(step)) % 3 > 0) {
        FillFromTheEnd(*exchange, step, shard);
      } else {
        FillGradient(exchange->gradient(), step, shard);
      }
      exchange->FinishShard(own, {.loss = 0.1 * (shard + 1), .items = 10, .tokens = 5, .rows = 2});
    }
    const auto reduced = exchange->Reduce(rank == 0 ? 40u + static_cast<unsigned>(step) : 7);
    if (!reduced || !reduced->finite || reduced->sums.items != 80) return 2;
    board.norms[rank][step] = reduced->norm;
    board.losses[rank][step] = reduced->sums.loss;
    board.control[rank][step] = reduced->control;
    const float rate = static_cast<float>(0.1 / reduced->norm);
    const Status updated = exchange->Update([&](const Slice& slice) {
      for (std::size_t i = 0; i < slice.parameters.size(); ++i) {
        slice.first_moments[i] = 0.9f * slice.first_moments[i] + slice.gradients[i];
        slice.parameters[i] -= rate * slice.first_moments[i];
      }
    });
    if (!updated) return 3;
  }
  const ReduceUse use = exchange->use();
  const std::uint64_t bytes = kSteps * kElements * sizeof(float);
  const std::uint64_t rounds = std::bit_width(machines.count) - 1U;
  if (use.memory.bytes != (size == 1 ? 0 : bytes * size * machines.count)) return 4;
  if (use.network.bytes != bytes * rounds * machines.count) return 5;
  if ((use.memory.seconds > 0) != (size > 1)) return 6;
  if ((use.network.seconds > 0) != (machines.count > 1)) return 7;
  // The last machine's copy: it must be what the first one's is.
  if (machines.index + 1 == machines.count && local_rank == 0) {
    std::memcpy(board.parameters, memory->parameters().data(), sizeof board.parameters);
  }
  return 0;
}

Outcome Train(std::uint32_t size, std::uint32_t machines = 1) {
  auto* board = static_cast<Board*>(
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const SocketMesh mesh(machines, size);
  std::vector<std::unique_ptr<Gang>> gangs;
  for (std::uint32_t machine = 0; machine < machines; ++machine) {
    gangs.push_back(std::make_unique<Gang>(size, [&](std::uint32_t rank, UniqueFd fd) {
      SocketLink link(mesh.Sockets(machine, rank));
      return TrainRank(*board, std::move(fd), rank, size,
                       {.count = machines, .index = machine, .link = &link});
    }));
  }
  for (const auto& gang : gangs) EXPECT_THAT(gang->Wait(), testing::Each(0));
  Outcome outcome{.parameters = {board->parameters, board->parameters + kElements},
                  .norms = {board->norms[0], board->norms[0] + kSteps},
                  .losses = {board->losses[0], board->losses[0] + kSteps}};
  for (std::uint32_t rank = 0; rank < size * machines; ++rank) {
    for (std::size_t step = 0; step < kSteps; ++step) {
      EXPECT_EQ(board->norms[rank][step], outcome.norms[step]);
      EXPECT_EQ(board->losses[rank][step], outcome.losses[step]);
      EXPECT_EQ(board->control[rank][step], 40 + step);
    }
  }
  munmap(board, sizeof(Board));
  return outcome;
}

TEST(GradientExchange, AnySizeGivesTheSameBits) {
  const Outcome one = Train(1);
  EXPECT_GT(one.norms[0], 0);
  EXPECT_EQ(Train(2), one);
  EXPECT_EQ(Train(4), one);
}

TEST(GradientExchange, AnyNumberOfMachinesGivesTheSameBits) {
  const Outcome one = Train(1);
  EXPECT_EQ(Train(1, 2), one);
  EXPECT_EQ(Train(2, 2), one);
  EXPECT_EQ(Train(2, 4), one);
  EXPECT_EQ(Train(1, 8), one);
}

TEST(GradientExchange, WhatIsFinalTravelsBeforeTheRestIsThere) {
  constexpr std::uint64_t kBig = 12 * kBlockElements;
  const SocketMesh mesh(2, 1);
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const auto rank = [&](std::uint32_t machine, UniqueFd fd) {
    auto memory = NodeMemory::Attach(std::move(fd), {.layout = {.elements = kBig, .shards = 2}});
    if (!memory) return 1;
    SocketLink link(mesh.Sockets(machine, 0));
    const auto exchange = MakeNodeExchange(*memory, {.count = 2, .index = machine, .link = &link});
    std::ranges::fill(exchange->gradient(), 1.5F);
    const std::span<const float> last = exchange->gradient().last(kBlockElements);
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    // Both ends look without waiting until the upper half has been summed.
    while (last.front() != 3 && std::chrono::steady_clock::now() < give_up) {
      exchange->FinishFrom(kBig / 2);
    }
    if (last.front() != 3 || exchange->gradient().front() != 1.5F) return 2;
    // Nobody goes on to the rest, which waits, before both have seen it.
    char byte = 0;
    if (write(told[1], &byte, 1) != 1) return 3;
    if (machine == 0 && (read(told[0], &byte, 1) != 1 || read(told[0], &byte, 1) != 1)) return 4;
    exchange->FinishShard(0, {.loss = 1});
    const auto reduced = exchange->Reduce(0);
    return reduced && exchange->reduced_gradient().front() == 3 ? 0 : 5;
  };
  Gang first(1, [&](std::uint32_t, UniqueFd fd) { return rank(0, std::move(fd)); });
  Gang second(1, [&](std::uint32_t, UniqueFd fd) { return rank(1, std::move(fd)); });
  EXPECT_THAT(first.Wait(), testing::ElementsAre(0));
  EXPECT_THAT(second.Wait(), testing::ElementsAre(0));
  close(told[0]);
  close(told[1]);
}

TEST(GradientExchange, AMachineThatIsGoneEndsTheStep) {
  const SocketMesh mesh(2, 1);
  Gang gang(1, [&](std::uint32_t, UniqueFd fd) {
    auto memory = NodeMemory::Attach(std::move(fd), {.layout = {.elements = 1000, .shards = 2}});
    if (!memory) return 1;
    SocketLink link(mesh.Sockets(0, 0));
    mesh.Close(1, 0);
    const auto exchange = MakeNodeExchange(*memory, {.count = 2, .index = 0, .link = &link});
    exchange->FinishFrom(0);
    exchange->FinishShard(0, {});
    const auto reduced = exchange->Reduce(0);
    return !reduced && reduced.error().code == ErrorCode::kUnavailable ? 0 : 2;
  });
  mesh.Close(1, 0);
  EXPECT_THAT(gang.Wait(), testing::ElementsAre(0));
}

TEST(GradientExchange, TheSumIsTheTreeOverShards) {
  UniqueFd fd(memfd_create("gang", MFD_CLOEXEC));
  auto memory = NodeMemory::Attach(
      std::move(fd), {.layout = {.elements = 100, .gradient_levels = LevelsFor(4), .shards = 4}});
  ASSERT_TRUE(memory.has_value());
  const auto exchange = MakeNodeExchange(*memory);
  std::vector<std::vector<float>> shards(4, std::vector<float>(100));
  for (std::uint32_t shard = 0; shard < 4; ++shard) {
    FillGradient(shards[shard], 0, shard);
    std::copy(shards[shard].begin(), shards[shard].end(), exchange->gradient().begin());
    exchange->FinishShard(shard, {});
  }
  ASSERT_TRUE(exchange->Reduce(0).has_value());
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(exchange->reduced_gradient()[i],
              (shards[0][i] + shards[1][i]) + (shards[2][i] + shards[3][i]));
  }
}

TEST(GradientExchange, SeesWhatIsNotFinite) {
  for (const bool in_loss : {false, true}) {
    UniqueFd fd(memfd_create("gang", MFD_CLOEXEC));
    auto memory = NodeMemory::Attach(std::move(fd), {.layout = {.elements = 100}});
    ASSERT_TRUE(memory.has_value());
    const auto exchange = MakeNodeExchange(*memory);
    if (!in_loss) exchange->gradient()[70] = std::numeric_limits<float>::quiet_NaN();
    exchange->FinishShard(0, {.loss = in_loss ? std::nan("") : 1.0});
    const auto reduced = exchange->Reduce(0);
    ASSERT_TRUE(reduced.has_value());
    EXPECT_FALSE(reduced->finite);
    EXPECT_EQ(std::isnan(exchange->reduced_gradient()[70]), !in_loss);
  }
}

TEST(GradientExchange, AKilledRankEndsTheStepOfTheOthers) {
  Gang gang(2, [](std::uint32_t rank, UniqueFd fd) {
    auto memory = NodeMemory::Attach(
        std::move(fd),
        {.layout = {.elements = 1000, .local_size = 2, .shards = 2}, .local_rank = rank});
    if (!memory) return 1;
    const auto exchange = MakeNodeExchange(*memory);
    for (int step = 0; step < 10; ++step) {
      if (step == 5 && rank == 1) raise(SIGKILL);
      exchange->FinishShard(0, {});
      if (!exchange->Reduce(0)) return step == 5 ? 0 : 2;
      if (!exchange->Update([](const Slice&) {})) return step == 4 ? 0 : 3;
    }
    return 4;
  });
  EXPECT_THAT(gang.Wait(), testing::ElementsAre(0, -SIGKILL));
}

}  // namespace
}  // namespace tutti::exchange
