// Benchmark: the sum of two ranks' gradients through the memory of one machine, beside
// MPI_Allreduce of the same size between the same two processes, interleaved. Run by
// tests/bench/run under mpirun.
//
//   exchange_bench MIB RUNS     prints "ours_seconds peer_seconds" for each run
#include <fcntl.h>
#include <mpi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "worker/exchange/gradient_exchange.h"

namespace {

using tutti::exchange::GradientExchange;
using tutti::exchange::NodeMemory;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void Give(const std::string& why) {
  std::fprintf(stderr, "exchange_bench: %s\n", why.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::exit(1);
}

// The memfd of rank 0, in every rank.
tutti::UniqueFd SharedMemory(int rank) {
  int where[2] = {static_cast<int>(getpid()), -1};
  tutti::UniqueFd memory;
  if (rank == 0) {
    memory = tutti::UniqueFd(memfd_create("exchange_bench", MFD_CLOEXEC));
    where[1] = memory.get();
  }
  MPI_Bcast(where, 2, MPI_INT, 0, MPI_COMM_WORLD);
  if (rank != 0) {
    const std::string path =
        "/proc/" + std::to_string(where[0]) + "/fd/" + std::to_string(where[1]);
    memory = tutti::UniqueFd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (!memory) Give("cannot share a memfd between the ranks");
  return memory;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc != 3) Give("usage: exchange_bench MIB RUNS");
  const std::uint64_t elements = std::strtoull(argv[1], nullptr, 10) * (1 << 20) / sizeof(float);
  const int runs = std::atoi(argv[2]);

  const auto ranks = static_cast<std::uint32_t>(size);
  auto memory =
      NodeMemory::Attach(SharedMemory(rank), {.layout = {.elements = elements,
                                                         .local_size = ranks,
                                                         .shards = ranks,
                                                         .snapshot = false,
                                                         .generation = 1},
                                              .local_rank = static_cast<std::uint32_t>(rank)});
  if (!memory) Give(memory.error().ToString());
  const std::unique_ptr<GradientExchange> exchange = tutti::exchange::MakeNodeExchange(*memory);

  std::vector<float> send(elements);
  std::vector<float> receive(elements);
  for (int run = -2; run < runs; ++run) {  // the first two touch the pages
    const std::span<float> gradient = exchange->gradient();
    for (std::uint64_t i = 0; i < elements; ++i) {
      gradient[i] = send[i] = static_cast<float>((i + static_cast<std::uint64_t>(rank)) % 17);
    }
    exchange->FinishShard(0, {.loss = 1, .items = 1});
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = Now();
    const auto reduced = exchange->Reduce(0);
    const double ours = Now() - begin;
    if (!reduced) Give(reduced.error().ToString());

    MPI_Barrier(MPI_COMM_WORLD);
    begin = Now();
    MPI_Allreduce(send.data(), receive.data(), static_cast<int>(elements), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
    const double peer = Now() - begin;

    const std::uint64_t probe = static_cast<std::uint64_t>(run + 2) * 4099 % elements;
    if (exchange->reduced_gradient()[probe] != receive[probe]) Give("the two sums differ");
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0 && run >= 0) std::printf("%.9f %.9f\n", ours, peer);
  }
  MPI_Finalize();
  return 0;
}
