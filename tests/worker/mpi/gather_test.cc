// Runs in both ranks of an MPI world of two (peer_link_test.cc has main).
#include "worker/mpi/gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

namespace tutti::mpi {
namespace {

TEST(Gather, EveryRankGetsEveryText) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const std::string mine = rank == 0 ? std::string("a\0b", 3) : std::string(70'000, 'x');
  const auto all = AllGather(mine);
  ASSERT_TRUE(all);
  EXPECT_THAT(*all, testing::ElementsAre(std::string("a\0b", 3), std::string(70'000, 'x')));
  const auto empty = AllGather("");
  ASSERT_TRUE(empty);
  EXPECT_THAT(*empty, testing::ElementsAre("", ""));
}

}  // namespace
}  // namespace tutti::mpi
