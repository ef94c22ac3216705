// What the system says of one process. Free functions.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace tutti::agent {

// Stopped by a signal (SIGSTOP, SIGTSTP, …), not by a debugger. False for one that is gone.
bool IsStopped(pid_t pid);

// Resident memory now, what it shares with others included; 0 for one that is gone.
std::uint64_t ResidentBytes(pid_t pid);

}  // namespace tutti::agent
