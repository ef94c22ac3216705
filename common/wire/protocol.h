// Numbers both ends of the wire agree on.
#pragma once

#include <cstdint>

namespace tutti::wire {

inline constexpr std::uint32_t kProtocol = 3;               // grows with every incompatible change
inline constexpr std::int64_t kMaxMessageBytes = 16 << 20;  // ZMQ_MAXMSGSIZE on both ends
inline constexpr std::uint32_t kHeartbeatIntervalMs = 500;
inline constexpr std::uint32_t kLeaseMs = 5000;  // < the coordinator's reassignment delay
inline constexpr std::uint32_t kReassignAfterMs = 8000;
inline constexpr std::uint64_t kLogWindowBytes = 1 << 20;

}  // namespace tutti::wire
