#include "worker/agent/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>

#include "common/config/flags.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr const char* kLoopback = "lo";

std::string TextOf(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = nullptr;
  if (address->sa_family == AF_INET) {
    bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  } else if (address->sa_family == AF_INET6) {
    bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  }
  if (bytes == nullptr) return "";
  return inet_ntop(address->sa_family, bytes, text.data(), text.size()) == nullptr ? ""
                                                                                   : text.data();
}

bool IsLoopbackText(std::string_view ip) { return ip.starts_with("127.") || ip == "::1"; }

// The address a datagram to `to` would leave from; nothing is sent.
std::string SourceTowards(const addrinfo& to) {
  const UniqueFd fd(socket(to.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), to.ai_addr, to.ai_addrlen) != 0) return "";
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  auto* address = reinterpret_cast<sockaddr*>(&own);
  return getsockname(fd.get(), address, &size) == 0 ? TextOf(address) : "";
}

}  // namespace

bool LocalAddress::IsLoopback() const { return IsLoopbackText(ip); }

Result<LocalAddress> AddressHere(const std::string& ip) {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return Fail(ErrnoError("cannot list", "interfaces", errno));
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(raw, &freeifaddrs);
  for (const ifaddrs* each = all.get(); each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr != nullptr && TextOf(each->ifa_addr) == ip) {
      return LocalAddress{.ip = ip, .interface = each->ifa_name};
    }
  }
  // All of 127.0.0.0/8 is the loopback's, whatever is listed.
  if (IsLoopbackText(ip)) return LocalAddress{.ip = ip, .interface = kLoopback};
  return Fail(ErrorCode::kInvalid, "no network interface of this machine has the address " + ip, {},
              "`ip address` lists them");
}

Result<LocalAddress> AddressTowards(const std::string& endpoint) {
  const std::string text = endpoint.starts_with(kTcp) ? endpoint.substr(kTcp.size()) : endpoint;
  TUTTI_ASSIGN_OR_RETURN(const config::HostPort target, config::ParseHostPort(text, endpoint));
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* raw = nullptr;
  const int problem =
      getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &raw);
  if (problem != 0) {
    return Fail(ErrorCode::kUnavailable,
                "cannot find the coordinator's address: " + std::string(gai_strerror(problem)),
                target.host);
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(raw, &freeaddrinfo);
  for (const addrinfo* each = all.get(); each != nullptr; each = each->ai_next) {
    if (const std::string ip = SourceTowards(*each); !ip.empty()) return AddressHere(ip);
  }
  return Fail(ErrorCode::kUnavailable, "there is no route to the coordinator now", target.host);
}

std::string InterfaceTowards(const LocalAddress& own, const std::vector<std::string>& peers) {
  if (!own.interface.empty() && !own.IsLoopback()) return own.interface;
  for (const std::string& peer : peers) {
    if (peer.empty() || IsLoopbackText(peer)) continue;
    const bool six = peer.find(':') != std::string::npos;
    const auto towards = AddressTowards(six ? "[" + peer + "]:1" : peer + ":1");
    if (towards) return towards->interface;
  }
  return own.interface.empty() ? kLoopback : own.interface;
}

}  // namespace tutti::agent
