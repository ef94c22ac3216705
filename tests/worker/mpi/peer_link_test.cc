// Every test runs in both ranks of an MPI world of two, each a machine of its own.
#include "worker/mpi/peer_link.h"

#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <numeric>
#include <vector>

namespace tutti::mpi {
namespace {

using namespace std::chrono_literals;

std::uint32_t Rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return static_cast<std::uint32_t>(rank);
}

std::vector<float> Ramp(std::size_t count, float from) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), from);
  return values;
}

class PeerLink : public testing::Test {
 protected:
  void SetUp() override {
    int size = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    ASSERT_EQ(size, 2);
  }
  void TearDown() override { MPI_Barrier(MPI_COMM_WORLD); }
};

TEST_F(PeerLink, SwapsEndInTheOrderTheyStarted) {
  const auto link = MakePeerLink({});
  const std::uint32_t peer = 1 - Rank();
  const std::vector<float> small = Ramp(3, static_cast<float>(Rank()));
  const std::vector<float> large = Ramp(1 << 20, static_cast<float>(Rank()) * 100);
  std::vector<float> small_in(small.size());
  std::vector<float> large_in(large.size());
  ASSERT_TRUE(link->Start(peer, std::as_bytes(std::span(large)),
                          std::as_writable_bytes(std::span(large_in))));
  ASSERT_TRUE(link->Start(peer, std::as_bytes(std::span(small)),
                          std::as_writable_bytes(std::span(small_in))));
  ASSERT_TRUE(link->Finish(peer));
  EXPECT_EQ(large_in, Ramp(large.size(), static_cast<float>(peer) * 100));
  ASSERT_TRUE(link->Finish(peer));
  EXPECT_EQ(small_in, Ramp(small.size(), static_cast<float>(peer)));
}

TEST_F(PeerLink, PollDoesNotWait) {
  const auto link = MakePeerLink({});
  const std::uint32_t peer = 1 - Rank();
  const std::vector<float> mine = Ramp(1 << 20, static_cast<float>(Rank()));
  std::vector<float> theirs(mine.size());
  if (Rank() == 1) MPI_Barrier(MPI_COMM_WORLD);  // starts only when rank 0 has looked
  ASSERT_TRUE(
      link->Start(peer, std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(theirs))));
  auto over = link->Poll(peer);
  if (Rank() == 0) {
    ASSERT_TRUE(over);
    EXPECT_FALSE(*over);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (over && !*over && std::chrono::steady_clock::now() < give_up) over = link->Poll(peer);
  ASSERT_TRUE(over && *over);
  EXPECT_EQ(theirs, Ramp(mine.size(), static_cast<float>(peer)));
}

TEST_F(PeerLink, ACounterpartThatDoesNotAnswerIsATimeout) {
  if (Rank() == 1) return;
  const auto link = MakePeerLink({.deadline = 50ms});
  const std::vector<float> mine(4);
  std::vector<float> theirs(1 << 20);
  // Rank 1 sends nothing in this test: the receive can't end.
  ASSERT_TRUE(link->Start(1, std::as_bytes(std::span(mine).first(0)),
                          std::as_writable_bytes(std::span(theirs))));
  const Status finished = link->Finish(1);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ErrorCode::kTimeout);
  EXPECT_NE(finished.error().message.find("rank 1"), std::string::npos);
}

}  // namespace
}  // namespace tutti::mpi

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  testing::InitGoogleTest(&argc, argv);
  const int failed = RUN_ALL_TESTS();
  MPI_Finalize();
  return failed;
}
