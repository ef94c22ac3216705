// What `tutti up` was asked for, and the names and command lines that follow from it. Values and
// free functions without IO.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::supervisor {

struct HostPort {
  std::string host = "127.0.0.1";
  std::uint16_t port = 7717;  // 0 = any free one

  std::string ToString() const;  // "127.0.0.1:7717", "[::1]:7717"
};
// "HOST:PORT", HOST an address or localhost. kInvalid, where = `option` and the text.
Result<HostPort> ParseHostPort(std::string_view text, std::string_view option = "--http");

inline constexpr int kWorkersMax = 64;

struct UpOptions {
  std::filesystem::path data_dir{};  // absolute
  std::filesystem::path bin_dir{};   // where tutti-coordinator and tutti-worker lie
  int workers = 1;
  int slots_per_worker = 0;  // 0: the cores, shared among the workers
  HostPort http{};
  std::optional<HostPort> zmq{};  // none: beside http
  // As the coordinator takes them.
  bool tls = false;
  std::filesystem::path tls_cert{};  // absolute
  std::filesystem::path tls_key{};   // absolute
  std::string advertise{};
  std::string webhooks_to{};
};

// The cores this process may run on.
int Cores();
int SlotsPerWorker(const UpOptions& options, int cores);

// The host's name where that is a valid name, made one otherwise; with several workers HOST-1, …
std::vector<std::string> WorkerNames(std::string_view host, int workers);
std::string HostName();

std::vector<std::string> CoordinatorCommand(const UpOptions& options, const HostPort& http,
                                            const HostPort& zmq);
// `zmq`: "tcp://127.0.0.1:40123".
std::vector<std::string> WorkerCommand(const UpOptions& options, const std::string& name,
                                       const std::string& zmq);

}  // namespace tutti::supervisor
