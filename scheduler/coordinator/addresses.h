// The names and addresses by which others reach this machine: for certificates, for the Host check
// and for what workers and people elsewhere are told. Free functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tutti::coordinator {

// 0.0.0.0, ::
bool IsAny(std::string_view host);

// This machine's addresses that others may reach, those of IPv4 first; link-local ones left out.
std::vector<std::string> OwnAddresses();
// Its name; "" when it has none.
std::string OwnName();

// What a coordinator that listens on `listens` is called.
struct Reach {
  // How other machines reach it: as given, else the address it listens on, else this machine's
  // first.
  std::string advertise;
  // All of it, what is advertised first, loopback last; no name twice.
  std::vector<std::string> names;
};
Reach ReachOf(const std::string& listens, const std::string& advertise);

}  // namespace tutti::coordinator
