// One supervised process: started in a process group of its own, killed by the kernel when the
// supervisor's main thread ends, started again with growing pauses. Main thread only.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::supervisor {

struct Child {
  std::string name;  // in logs: "coordinator", a worker's name
  std::vector<std::string> argv;
  std::filesystem::path log;  // its stdout and stderr, appended
  pid_t pid = 0;              // 0 = not running
  Instant started{};
  Instant restart_at{};
  int deaths = 0;  // in a row, each soon after its start
};

// Starts it; stdin is /dev/null. What exec itself says goes into the log, exit code 127.
// REQUIRES: this process has one thread.
Status Start(Child& child);

// Its end was seen: when to start it again. 0.1 s after the first death, twice as long after each
// that followed within kSteady of its start, at most 5 s.
inline constexpr Duration kSteady = std::chrono::seconds(10);
void NoteDeath(Child& child, Instant now);

// "was killed by signal 9 (Killed)", "exited with code 1".
std::string DescribeExit(int wait_status);
// Sends the signal to the child's whole group; a child that is gone is no error.
void SignalGroup(const Child& child, int signal);

// Moves a log above 10 MiB to NAME.log.1.
void RotateLog(const std::filesystem::path& log);
// The last `lines` lines of a log; "" when there is none.
std::string TailOf(const std::filesystem::path& log, int lines);

}  // namespace tutti::supervisor
