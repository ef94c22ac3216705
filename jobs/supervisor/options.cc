#include "jobs/supervisor/options.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "common/base/host.h"

namespace tutti::supervisor {
namespace {

constexpr std::size_t kNameMax = 63;   // of SPEC.md's names
constexpr std::size_t kSuffixMax = 3;  // "-64"

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string HostPort::ToString() const { return Bracketed(host) + ":" + std::to_string(port); }

Result<HostPort> ParseHostPort(std::string_view text, std::string_view option) {
  const std::string whole(text);
  const auto bad = [&](std::string what, std::string hint) {
    return Fail(ErrorCode::kInvalid, std::move(what), std::string(option) + " " + whole,
                std::move(hint));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return bad("the port is missing", "write HOST:PORT, like 127.0.0.1:7717");
  }
  HostPort out;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
    return bad("'" + std::string(port) + "' is no port",
               "a port is a number up to 65535; 0 takes a free one");
  }
  if (host == "localhost") host = "127.0.0.1";
  out.host = host;
  if (!IsIpAddress(out.host)) {
    return bad("'" + out.host + "' is no IP address",
               "127.0.0.1 for this machine alone, 0.0.0.0 for others too; names go with "
               "--advertise");
  }
  return out;
}

int Cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

int SlotsPerWorker(const UpOptions& options, int cores) {
  if (options.slots_per_worker > 0) return options.slots_per_worker;
  return std::max(1, cores / std::max(1, options.workers));
}

std::string HostName() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

std::vector<std::string> WorkerNames(std::string_view host, int workers) {
  std::string base;
  for (const char c : host) {
    const bool first_fits = !base.empty() || std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (IsNameCharacter(c) && first_fits) base.push_back(c);
  }
  if (base.empty()) base = "worker";
  base.resize(std::min(base.size(), workers > 1 ? kNameMax - kSuffixMax : kNameMax));
  if (workers <= 1) return {base};
  std::vector<std::string> names;
  for (int i = 1; i <= workers; ++i) names.push_back(base + "-" + std::to_string(i));
  return names;
}

std::vector<std::string> CoordinatorCommand(const UpOptions& options, const HostPort& http,
                                            const HostPort& zmq) {
  std::vector<std::string> words = {(options.bin_dir / "tutti-coordinator").string(),
                                    "--data-dir",
                                    options.data_dir.string(),
                                    "--http",
                                    http.ToString(),
                                    "--zmq",
                                    zmq.ToString()};
  if (options.tls) words.emplace_back("--tls");
  const auto add = [&words](const char* name, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {name, value});
  };
  add("--tls-cert", options.tls_cert.string());
  add("--tls-key", options.tls_key.string());
  add("--advertise", options.advertise);
  add("--webhooks-to", options.webhooks_to);
  return words;
}

std::vector<std::string> WorkerCommand(const UpOptions& options, const std::string& name,
                                       const std::string& zmq) {
  const std::filesystem::path& dir = options.data_dir;
  return {(options.bin_dir / "tutti-worker").string(),
          "--dir",
          (dir / "workers" / name).string(),
          "--name",
          name,
          "--coordinator",
          zmq,
          "--server-key",
          (dir / "coordinator/curve.pub").string(),
          "--allow-dir",
          (dir / "coordinator/allowed").string(),
          "--jobs-dir",
          (dir / "jobs").string(),
          "--slots",
          std::to_string(SlotsPerWorker(options, Cores()))};
}

}  // namespace tutti::supervisor
