#include "jobs/supervisor/programs.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/version/version.h"
#include "jobs/client/endpoint.h"

namespace tutti::supervisor {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Bytes kSmallFile{64 << 10};

fs::path ServingPath(const fs::path& data_dir) { return data_dir / "coordinator/serving.json"; }

}  // namespace

Result<UniqueFd> LockDataDir(const fs::path& data_dir) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(data_dir));
  const fs::path path = data_dir / "supervisor.lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Fail(ErrnoError("cannot open", path.string(), errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Fail(ErrnoError("cannot lock", path.string(), errno));
    const auto pid = client::SupervisorOf(data_dir);
    const auto endpoint = client::ReadEndpointFile(data_dir);
    return Fail(ErrorCode::kConflict,
                "a cluster runs here already: pid " + std::to_string(pid.value_or(0)) +
                    (endpoint ? ", " + endpoint->url : std::string(", not serving yet")),
                data_dir.string(),
                "use it as it is, stop it with `tutti down --data-dir " + data_dir.string() +
                    "`, or give another --data-dir");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) != 0) return Fail(ErrnoError("cannot write", path.string(), errno));
  TUTTI_RETURN_IF_ERROR(WriteAll(fd.get(), std::as_bytes(std::span(pid)), path.string()));
  return fd;
}

Status MakeFolders(const UpOptions& options, const std::vector<std::string>& workers) {
  const fs::path& dir = options.data_dir;
  TUTTI_RETURN_IF_ERROR(MakeDirectories(dir / "coordinator", 0700));
  for (const char* name : {"logs", "coordinator/allowed", "models", "jobs"}) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(dir / name));
  }
  for (const std::string& name : workers) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(dir / "workers" / name));
  }
  return {};
}

std::optional<Serving> ReadServing(const fs::path& data_dir, int pid) {
  const Result<std::string> text = ReadFile(ServingPath(data_dir), kSmallFile);
  if (!text) return std::nullopt;
  const json parsed = json::parse(*text, nullptr, false);
  if (!parsed.is_object() || parsed.value("pid", json()) != pid) return std::nullopt;
  const auto text_of = [&parsed](const char* key) {
    const json value = parsed.value(key, json());
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  Serving serving{.url = text_of("url"),
                  .zmq = text_of("zmq"),
                  .advertise = text_of("advertise"),
                  .pin = text_of("pin")};
  if (serving.url.empty() || serving.zmq.empty()) return std::nullopt;
  return serving;
}

void ForgetServing(const fs::path& data_dir) { ::unlink(ServingPath(data_dir).c_str()); }

Status WriteEndpoint(const fs::path& data_dir, const Serving& serving, int coordinator_pid) {
  json endpoint = {{"url", serving.url},
                   {"advertise", serving.advertise},
                   {"token_file", (data_dir / "token").string()},
                   {"pid", ::getpid()},
                   {"coordinator_pid", coordinator_pid},
                   {"version", Version()}};
  if (!serving.pin.empty()) endpoint["pin"] = serving.pin;
  return WriteFileAtomically(data_dir / "endpoint.json", endpoint.dump() + "\n");
}

void RemoveEndpoint(const fs::path& data_dir) {
  std::error_code error;
  fs::remove(data_dir / "endpoint.json", error);
  for (const fs::directory_entry& entry : fs::directory_iterator(data_dir, error)) {
    if (entry.path().filename().string().starts_with("endpoint.json.tmp-")) {
      fs::remove(entry.path(), error);
    }
  }
}

Result<HostPort> AddressOf(const std::string& url) {
  const std::size_t scheme = url.find("://");
  return ParseHostPort(scheme == std::string::npos ? url : url.substr(scheme + 3));
}

Result<bool> IsFree(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0) {
    return Fail(ErrorCode::kInvalid, std::string("this is no address: ") + ::gai_strerror(code),
                address.ToString());
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  const UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(ErrnoError("cannot make a socket", address.ToString(), errno));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), found->ai_addr, found->ai_addrlen) == 0) return true;
  if (errno == EADDRINUSE) return false;
  return Fail(ErrorCode::kInvalid, std::string("cannot listen there: ") + std::strerror(errno),
              address.ToString(), "give another --http HOST:PORT");
}

}  // namespace tutti::supervisor
