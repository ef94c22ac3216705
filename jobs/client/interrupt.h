// Ctrl-C as something to wait for. One scope at a time, made and destroyed on the main thread; the
// questions may be asked anywhere.
#pragma once

namespace tutti::client {

// While it lives, the first SIGINT or SIGTERM only sets the flag below and wakes whoever waits on
// the descriptor; the second ends the process with exit code 130. Outside, the first one does.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
};

// SIGINT ends the process with exit code 130 from now on (the kernel's own way has no exit code).
void ExitOnInterrupt();

// Whether a signal came since the scope began.
bool Interrupted();
// Readable once it came; -1 outside a scope.
int InterruptFd();

}  // namespace tutti::client
