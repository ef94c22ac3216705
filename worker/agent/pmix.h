// The PMIx server a worker is to its ranks: it gives each rank of an attempt its number, its peers
// and the size of the gang, so that plain MPI programs started by this worker find each other, also
// on other machines.
//
// One per process (a rule of the library). All methods are for the agent's thread and answer within
// kDeadline; the library's own threads call `on_abort` and `on_fence`.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace tutti::agent {

// One machine of a gang, as its peers know it.
struct PmixMachine {
  std::string name;         // unique among workers
  std::uint32_t ranks = 1;  // the next ones, in order of machines
};

struct PmixGang {
  std::string name;                // unique among those registered
  std::uint32_t size = 1;          // ranks of the whole gang
  std::filesystem::path temp_dir;  // of the attempt; exists
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<PmixMachine> machines{};  // all of them, in rank order; none: this machine alone
  std::uint32_t this_machine = 0;       // index
  std::string interface = "lo";         // what MPI's traffic between machines goes through
};

// The ranks of a gang on this machine meet those on the others: `data` is what they contribute.
// The answer is every machine's contribution, concatenated in the gang's order. Call `answer` once,
// from any thread; nullopt when the gang cannot meet any more.
struct PmixFence {
  std::string gang;
  std::string data;
  std::function<void(std::optional<std::string> everyones_data)> answer;
};

class PmixServer {
 public:
  static constexpr auto kDeadline = std::chrono::seconds(5);

  struct Options {
    std::filesystem::path temp_dir;  // for the library's own files; exists
    std::string machine_name{};      // as in PmixMachine; empty = the host's
    // A rank called MPI_Abort. Runs on a thread of the library.
    std::function<void(std::string gang, std::uint32_t rank, int status)> on_abort;
    // Of a gang on several machines. Runs on a thread of the library.
    std::function<void(PmixFence)> on_fence{};
  };
  static Result<std::unique_ptr<PmixServer>> Start(Options options);
  ~PmixServer();
  PmixServer(const PmixServer&) = delete;
  PmixServer& operator=(const PmixServer&) = delete;

  Status Register(const PmixGang& gang);
  // What rank `rank` (of the gang) needs in its environment: PMIx's own variables and those
  // that make Open MPI 4.1 use them.
  Result<std::map<std::string, std::string>> Environment(const std::string& gang,
                                                         std::uint32_t rank) const;
  void Deregister(const std::string& gang);

 private:
  PmixServer(std::string machine_name, std::string topology)
      : machine_name_(std::move(machine_name)), topology_(std::move(topology)) {}

  std::string machine_name_;
  std::string topology_;                           // of this machine, XML; empty: ranks look
  std::map<std::string, std::string> interfaces_;  // of registered gangs
};

}  // namespace tutti::agent
