#include "worker/engine/world.h"

#include <dlfcn.h>
#include <mpi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace tutti::engine {
namespace {

Status Checked(int code, const char* call) {
  if (code == MPI_SUCCESS) return {};
  return Fail(ErrorCode::kInternal,
              std::string(call) + " failed with MPI's error " + std::to_string(code));
}

// What MPI_Init opens of Open MPI 4.1, with the settings below; others of their kinds too, which it
// looks at and closes.
constexpr std::array kComponents = {"allocator_basic",
                                    "allocator_bucket",
                                    "bml_r2",
                                    "btl_self",
                                    "btl_tcp",
                                    "coll_adapt",
                                    "coll_basic",
                                    "coll_han",
                                    "coll_inter",
                                    "coll_libnbc",
                                    "coll_monitoring",
                                    "coll_self",
                                    "coll_sm",
                                    "coll_sync",
                                    "coll_tuned",
                                    "errmgr_default_app",
                                    "errmgr_default_hnp",
                                    "errmgr_default_orted",
                                    "errmgr_default_tool",
                                    "ess_pmi",
                                    "mpool_hugepage",
                                    "op_avx",
                                    "osc_monitoring",
                                    "osc_pt2pt",
                                    "osc_rdma",
                                    "osc_sm",
                                    "pml_ob1",
                                    "pmix_ext3x",
                                    "pmix_flux",
                                    "pmix_isolated",
                                    "pmix_pmix3x",
                                    "rcache_grdma",
                                    "reachable_netlink",
                                    "reachable_weighted",
                                    "schizo_flux",
                                    "schizo_jsm",
                                    "schizo_ompi",
                                    "schizo_orte",
                                    "schizo_slurm",
                                    "shmem_mmap",
                                    "shmem_posix",
                                    "shmem_sysv",
                                    "state_app",
                                    "state_hnp",
                                    "state_novm",
                                    "state_orted",
                                    "state_tool"};

// PMIx's client sends two small messages in a row when it ends, with Nagle's algorithm on: the
// second would wait 40 ms for a delayed acknowledgement of the first.
void SendAtOnce() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    const int on = 1;  // fails on what is no TCP socket
    setsockopt(std::atoi(entry.path().filename().c_str()), IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof on);
  }
}

}  // namespace

void World::Preload() {
  Dl_info library{};
  if (dladdr(reinterpret_cast<void*>(&MPI_Init), &library) == 0) return;
  std::error_code none;
  const auto folder = std::filesystem::canonical(library.dli_fname, none).parent_path();
  for (const char* name : {"openmpi/lib/openmpi3", "openmpi"}) {  // Debian's, its own
    for (const char* component : kComponents) {
      const auto file = folder / name / ("mca_" + std::string(component) + ".so");
      dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays for the life of the process
    }
  }
}

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

void World::Leave() {
  SendAtOnce();
  MPI_Finalize();
}

}  // namespace tutti::engine
