#include "scheduler/webhooks/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "common/base/words.h"

namespace tutti::webhooks {
namespace {

constexpr std::array kNetworks = {Network::kPublic, Network::kPrivate, Network::kLoopback,
                                  Network::kLinkLocal};

struct Block4 {
  std::uint32_t first;
  int bits;
  Network network;
};

constexpr std::uint32_t Ip(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return a << 24U | b << 16U | c << 8U | d;
}

// The first that fits counts. IANA's registry of special-purpose addresses, and where clouds
// serve credentials outside 169.254.0.0/16 (Alibaba, Oracle).
constexpr std::array kBlocks = {
    Block4{Ip(100, 100, 100, 200), 32, Network::kLinkLocal},
    Block4{Ip(192, 0, 0, 0), 24, Network::kLinkLocal},
    Block4{Ip(169, 254, 0, 0), 16, Network::kLinkLocal},
    Block4{Ip(0, 0, 0, 0), 8, Network::kLoopback},
    Block4{Ip(127, 0, 0, 0), 8, Network::kLoopback},
    Block4{Ip(10, 0, 0, 0), 8, Network::kPrivate},
    Block4{Ip(172, 16, 0, 0), 12, Network::kPrivate},
    Block4{Ip(192, 168, 0, 0), 16, Network::kPrivate},
    Block4{Ip(100, 64, 0, 0), 10, Network::kPrivate},
    Block4{Ip(198, 18, 0, 0), 15, Network::kPrivate},
    Block4{Ip(224, 0, 0, 0), 3, Network::kNone},
};

Network Of4(std::uint32_t address) {
  for (const Block4& block : kBlocks) {
    const std::uint32_t mask = ~std::uint32_t{0} << static_cast<unsigned>(32 - block.bits);
    if ((address & mask) == block.first) return block.network;
  }
  return Network::kPublic;
}

std::uint32_t Ipv4At(const unsigned char* bytes) {
  return Ip(bytes[0], bytes[1], bytes[2], bytes[3]);
}

bool StartsWith(const in6_addr& address, std::initializer_list<unsigned char> prefix) {
  return std::equal(prefix.begin(), prefix.end(), std::begin(address.s6_addr));
}

Network Of6(const in6_addr& address) {
  const unsigned char* bytes = address.s6_addr;
  constexpr std::array<unsigned char, 12> kZeros{};
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address)) {
    return Network::kLoopback;
  }
  if (IN6_IS_ADDR_V4MAPPED(&address) || std::equal(kZeros.begin(), kZeros.end(), bytes)) {
    return Of4(Ipv4At(bytes + 12));
  }
  if (StartsWith(address, {0x00, 0x64, 0xff, 0x9b})) return Of4(Ipv4At(bytes + 12));  // NAT64
  if (StartsWith(address, {0x20, 0x02})) return Of4(Ipv4At(bytes + 2));               // 6to4
  if (StartsWith(address, {0xfd, 0x00, 0x0e, 0xc2})) return Network::kLinkLocal;      // Amazon's
  if ((bytes[0] & 0xfeU) == 0xfcU) return Network::kPrivate;
  if (bytes[0] == 0xfeU && (bytes[1] & 0x80U) != 0) return Network::kLinkLocal;
  if (bytes[0] == 0xffU) return Network::kNone;
  return Network::kPublic;
}

unsigned BitOf(Network network) { return 1U << static_cast<unsigned>(network); }

std::optional<Network> NetworkIn(std::string_view word) {
  for (const Network network : kNetworks) {
    if (word == ToString(network)) return network;
  }
  return std::nullopt;
}

}  // namespace

std::string_view ToString(Network network) {
  switch (network) {
    case Network::kPublic:
      return "public";
    case Network::kPrivate:
      return "private";
    case Network::kLoopback:
      return "loopback";
    case Network::kLinkLocal:
      return "link-local";
    case Network::kNone:
      return "reserved";
  }
  return "reserved";
}

Network NetworkOf(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &address, sizeof ipv4);
    return Of4(ntohl(ipv4.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return Network::kNone;
  sockaddr_in6 ipv6{};
  std::memcpy(&ipv6, &address, sizeof ipv6);
  return Of6(ipv6.sin6_addr);
}

Networks::Networks(std::initializer_list<Network> allowed) {
  for (const Network network : allowed) bits_ |= BitOf(network);
}

Result<Networks> Networks::Parse(std::string_view text) {
  Networks networks;
  for (const std::string_view word : CommaWords(text)) {
    const auto network = NetworkIn(word);
    if (!network) {
      return Fail(ErrorCode::kInvalid, "'" + std::string(word) + "' is no network", {},
                  "some of public,private,loopback,link-local");
    }
    networks.bits_ |= BitOf(*network);
  }
  return networks;
}

bool Networks::Allow(Network network) const {
  return network != Network::kNone && (bits_ & BitOf(network)) != 0;
}

Networks Networks::operator|(const Networks& other) const {
  Networks both;
  both.bits_ = bits_ | other.bits_;
  return both;
}

std::string Networks::ToString() const {
  std::string text;
  for (const Network network : kNetworks) {
    if (!Allow(network)) continue;
    text += (text.empty() ? "" : ",") + std::string(webhooks::ToString(network));
  }
  return text;
}

}  // namespace tutti::webhooks
