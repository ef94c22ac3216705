// The PMIx server a worker is to its ranks: it gives each rank of an attempt its number, its peers
// and the size of the gang, so that plain MPI programs started by this worker find each other.
//
// One per process (a rule of the library). All methods are for the agent's thread and answer within
// kDeadline; the library's own threads call `on_abort`. Multi-machine fences are not built yet.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/base/result.h"

namespace tutti::agent {

// A gang whose ranks are all on this machine.
struct PmixGang {
  std::string name;                // unique among those registered
  std::uint32_t size = 1;          // ranks
  std::filesystem::path temp_dir;  // of the attempt; exists
  uid_t uid = 0;
  gid_t gid = 0;
};

class PmixServer {
 public:
  static constexpr auto kDeadline = std::chrono::seconds(5);

  struct Options {
    std::filesystem::path temp_dir;  // for the library's own files; exists
    // A rank called MPI_Abort. Runs on a thread of the library.
    std::function<void(std::string gang, std::uint32_t rank, int status)> on_abort;
  };
  static Result<std::unique_ptr<PmixServer>> Start(Options options);
  ~PmixServer();
  PmixServer(const PmixServer&) = delete;
  PmixServer& operator=(const PmixServer&) = delete;

  Status Register(const PmixGang& gang);
  // What rank `rank` of a registered gang needs in its environment: PMIx's own variables and those
  // that make Open MPI 4.1 use them.
  Result<std::map<std::string, std::string>> Environment(const std::string& gang,
                                                         std::uint32_t rank) const;
  void Deregister(const std::string& gang);

 private:
  PmixServer() = default;
};

}  // namespace tutti::agent
