#include "worker/mpi/gather.h"

#include <mpi.h>

#include <climits>

#include "common/base/check.h"

namespace tutti::mpi {

Result<std::vector<std::string>> AllGather(std::string_view mine) {
  TUTTI_CHECK(mine.size() < (1 << 20), mine.size(), " bytes");
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const auto count = static_cast<std::size_t>(ranks);
  const int size = static_cast<int>(mine.size());
  std::vector<int> sizes(count);
  if (MPI_Allgather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, MPI_COMM_WORLD) != MPI_SUCCESS) {
    return Fail(ErrorCode::kUnavailable, "a rank of another machine cannot be reached");
  }
  std::vector<int> offsets(count);
  std::size_t total = 0;
  for (std::size_t rank = 0; rank < count; ++rank) {
    offsets[rank] = static_cast<int>(total);
    total += static_cast<std::size_t>(sizes[rank]);
    TUTTI_CHECK(total <= INT_MAX, total, " bytes");
  }
  std::string bytes(total, '\0');
  if (MPI_Allgatherv(mine.data(), size, MPI_BYTE, bytes.data(), sizes.data(), offsets.data(),
                     MPI_BYTE, MPI_COMM_WORLD) != MPI_SUCCESS) {
    return Fail(ErrorCode::kUnavailable, "a rank of another machine cannot be reached");
  }
  std::vector<std::string> all;
  for (std::size_t rank = 0; rank < count; ++rank) {
    all.push_back(bytes.substr(static_cast<std::size_t>(offsets[rank]),
                               static_cast<std::size_t>(sizes[rank])));
  }
  return all;
}

}  // namespace tutti::mpi
