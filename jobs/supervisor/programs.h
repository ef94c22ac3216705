// The files by which the supervisor and its programs know of each other: the lock, serving.json,
// endpoint.json, the folders below the data directory. Main thread only.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/file/file.h"
#include "jobs/supervisor/options.h"

namespace tutti::supervisor {

// DIR/supervisor.lock, held until the descriptor closes, with this process's pid inside. kConflict
// when another supervisor holds it: says its pid and address.
Result<UniqueFd> LockDataDir(const std::filesystem::path& data_dir);

// The folders that programs expect to be there, for these workers.
Status MakeFolders(const UpOptions& options, const std::vector<std::string>& workers);

// What a coordinator wrote into coordinator/serving.json.
struct Serving {
  std::string url;        // "http://127.0.0.1:7717": for this machine, as zmq is
  std::string zmq;        // "tcp://127.0.0.1:7718"
  std::string advertise;  // the name or address by which others reach it
  std::string pin;        // of its certificate; "" = it serves plain HTTP
};
// nullopt until the process `pid` wrote it.
std::optional<Serving> ReadServing(const std::filesystem::path& data_dir, int pid);
void ForgetServing(const std::filesystem::path& data_dir);

Status WriteEndpoint(const std::filesystem::path& data_dir, const Serving& serving,
                     int coordinator_pid);
// Removes endpoint.json and what a killed supervisor left half-written beside it.
void RemoveEndpoint(const std::filesystem::path& data_dir);

// "host:port" of "http://host:port" or "tcp://host:port".
Result<HostPort> AddressOf(const std::string& url);

// Whether nobody listens there now. kInvalid when the address itself cannot be used.
Result<bool> IsFree(const HostPort& address);

}  // namespace tutti::supervisor
