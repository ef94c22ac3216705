#include "worker/mpi/gather.h"

#include <mpi.h>

#include <climits>

#include "common/base/check.h"
#include "worker/mpi/await.h"

namespace tutti::mpi {
namespace {

Unexpected Gone() {
  return Fail(ErrorCode::kUnavailable, "a rank of another machine cannot be reached");
}

Status Finish(MPI_Request& request, const std::function<Status()>& on_wait) {
  TUTTI_ASSIGN_OR_RETURN(const Awaited awaited, Await({&request, 1}, on_wait));
  return awaited == Awaited::kDone ? Status() : Gone();
}

}  // namespace

Result<std::vector<std::string>> AllGather(std::string_view mine,
                                           const std::function<Status()>& on_wait) {
  TUTTI_CHECK(mine.size() < (1 << 20), mine.size(), " bytes");
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const auto count = static_cast<std::size_t>(ranks);
  const int size = static_cast<int>(mine.size());
  std::vector<int> sizes(count);
  MPI_Request request = MPI_REQUEST_NULL;
  if (MPI_Iallgather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, MPI_COMM_WORLD, &request) !=
      MPI_SUCCESS) {
    return Gone();
  }
  TUTTI_RETURN_IF_ERROR(Finish(request, on_wait));
  std::vector<int> offsets(count);
  std::size_t total = 0;
  for (std::size_t rank = 0; rank < count; ++rank) {
    offsets[rank] = static_cast<int>(total);
    total += static_cast<std::size_t>(sizes[rank]);
    TUTTI_CHECK(total <= INT_MAX, total, " bytes");
  }
  std::string bytes(total, '\0');
  if (MPI_Iallgatherv(mine.data(), size, MPI_BYTE, bytes.data(), sizes.data(), offsets.data(),
                      MPI_BYTE, MPI_COMM_WORLD, &request) != MPI_SUCCESS) {
    return Gone();
  }
  TUTTI_RETURN_IF_ERROR(Finish(request, on_wait));
  std::vector<std::string> all;
  for (std::size_t rank = 0; rank < count; ++rank) {
    all.push_back(bytes.substr(static_cast<std::size_t>(offsets[rank]),
                               static_cast<std::size_t>(sizes[rank])));
  }
  return all;
}

}  // namespace tutti::mpi
