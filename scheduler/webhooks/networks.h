// Where webhooks may go: an address belongs to one network, and a coordinator allows some of them.
// What users write must not turn the coordinator into a way into places that only it can reach.
// Values and pure functions.
#pragma once

#include <sys/socket.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti::webhooks {

enum class Network {
  kPublic,
  kPrivate,    // RFC 1918, 4193 and 6598: 10.0.0.0/8, 192.168.0.0/16, fc00::/7, …
  kLoopback,   // this machine: 127.0.0.0/8, ::1, 0.0.0.0
  kLinkLocal,  // the own cable, and where clouds serve credentials: 169.254.0.0/16, fe80::/10, …
  kNone,       // multicast, broadcast, reserved: never
};
std::string_view ToString(Network network);  // "link-local"

// Of an IPv4 or IPv6 address; one that holds an IPv4 address (mapped, NAT64, 6to4) is that one's.
Network NetworkOf(const sockaddr& address);

class Networks {
 public:
  Networks() = default;  // none
  Networks(std::initializer_list<Network> allowed);
  // "public,private,loopback,link-local". kInvalid.
  static Result<Networks> Parse(std::string_view text);

  bool Allow(Network network) const;
  Networks operator|(const Networks& other) const;
  std::string ToString() const;

  bool operator==(const Networks&) const = default;

 private:
  unsigned bits_ = 0;
};

}  // namespace tutti::webhooks
