// At which address of this machine the other machines of a gang reach its ranks, and the network
// interface that has it. Free functions; finding a route may ask a name server.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::agent {

struct LocalAddress {
  std::string ip = {};         // "10.0.0.2", "fd00::2"; "" = not known
  std::string interface = {};  // "eth0"

  bool IsLoopback() const;
};

// The one from which packets to "tcp://HOST:PORT" leave. kUnavailable when there is no route now.
Result<LocalAddress> AddressTowards(const std::string& endpoint);
// `ip` itself. kInvalid when no interface here has it.
Result<LocalAddress> AddressHere(const std::string& ip);

// What MPI's traffic to machines at `peers` goes through: the interface of `own`; where that is the
// loopback and some peer is not on this machine, the one that leads there.
std::string InterfaceTowards(const LocalAddress& own, const std::vector<std::string>& peers);

}  // namespace tutti::agent
