// What the system says of one process. Free functions.
#pragma once

#include <sys/types.h>

namespace tutti::agent {

// Stopped by a signal (SIGSTOP, SIGTSTP, …), not by a debugger. False for one that is gone.
bool IsStopped(pid_t pid);

}  // namespace tutti::agent
