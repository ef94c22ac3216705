#include "worker/engine/world.h"

#include <mpi.h>
#include <stdlib.h>

#include <string>

namespace tutti::engine {
namespace {

Status Checked(int code, const char* call) {
  if (code == MPI_SUCCESS) return {};
  return Fail(ErrorCode::kInternal,
              std::string(call) + " failed with MPI's error " + std::to_string(code));
}

}  // namespace

Result<World> World::Join() {
  // What the worker sets already wins. Start-up over the plain sockets is quickest, and ranks that
  // share a core must yield to each other.
  constexpr int kKeep = 0;
  setenv("OMPI_MCA_pml", "ob1", kKeep);
  setenv("OMPI_MCA_btl", "self,tcp", kKeep);
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", kKeep);
  TUTTI_RETURN_IF_ERROR(Checked(MPI_Init(nullptr, nullptr), "MPI_Init"));
  TUTTI_RETURN_IF_ERROR(Checked(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
                                "MPI_Comm_set_errhandler"));
  int rank = 0, size = 0;
  TUTTI_RETURN_IF_ERROR(Checked(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank"));
  TUTTI_RETURN_IF_ERROR(Checked(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size"));
  return World(static_cast<std::uint32_t>(rank), static_cast<std::uint32_t>(size));
}

Status World::Barrier() { return Checked(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

void World::Leave() { MPI_Finalize(); }

}  // namespace tutti::engine
