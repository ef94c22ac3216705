// What a host is called: names, and addresses of IPv4 and IPv6 as text. Free functions; any thread.
#pragma once

#include <string>
#include <string_view>

namespace tutti {

// An address of IPv4 or IPv6, not a name.
bool IsIpAddress(const std::string& host);
// This machine by its name or address for itself: 127.*, ::1, localhost.
bool IsLoopbackHost(std::string_view host);
// As it stands before a port: "[::1]" for addresses of IPv6, others as they are.
std::string Bracketed(const std::string& host);

}  // namespace tutti
