#include "scheduler/coordinator/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/base/host.h"

namespace tutti::coordinator {
namespace {

// "" for an address that is of no use to others.
std::string TextOf(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size()) != nullptr ? text.data()
                                                                                   : "";
  }
  if (address.sa_family != AF_INET6) return "";
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) return "";
  return ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size()) != nullptr ? text.data()
                                                                                   : "";
}

}  // namespace

bool IsAny(std::string_view host) { return host == "0.0.0.0" || host == "::"; }

std::vector<std::string> OwnAddresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  std::vector<std::string> addresses;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    const bool up = (at->ifa_flags & IFF_UP) != 0 && (at->ifa_flags & IFF_LOOPBACK) == 0;
    if (!up || at->ifa_addr == nullptr) continue;
    std::string text = TextOf(*at->ifa_addr);
    if (!text.empty()) addresses.push_back(std::move(text));
  }
  std::stable_partition(addresses.begin(), addresses.end(), [](const std::string& address) {
    return address.find(':') == std::string::npos;
  });
  return addresses;
}

std::string OwnName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Reach ReachOf(const std::string& listens, const std::string& advertise) {
  Reach reach;
  const auto add = [&reach](const std::string& name) {
    const auto& names = reach.names;
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
      reach.names.push_back(name);
    }
  };
  add(advertise);
  if (!IsAny(listens)) add(listens);
  if (!IsLoopbackHost(listens)) {
    if (IsAny(listens)) {
      for (const std::string& address : OwnAddresses()) add(address);
    }
    add(OwnName());
  }
  for (const char* name : {"localhost", "127.0.0.1", "::1"}) add(name);
  reach.advertise = reach.names.front();
  return reach;
}

}  // namespace tutti::coordinator
