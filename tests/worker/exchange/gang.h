// A gang of real forked processes for the tests of worker/exchange.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "common/file/file.h"

namespace tutti::exchange {

struct Gang {
  UniqueFd memory;
  std::vector<pid_t> pids;

  // Forks `size` ranks; each exits with what `rank_main(rank, memory)` returns.
  Gang(std::uint32_t size, const std::function<int(std::uint32_t, UniqueFd)>& rank_main)
      : memory(memfd_create("gang", MFD_CLOEXEC)) {
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      const pid_t pid = fork();
      if (pid == 0) _exit(rank_main(rank, UniqueFd(dup(memory.get()))));
      pids.push_back(pid);
    }
  }
  // The exit status of each rank; -N for a death by signal N.
  std::vector<int> Wait() {
    std::vector<int> statuses;
    for (const pid_t pid : pids) {
      int status = 0;
      waitpid(pid, &status, 0);
      statuses.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    }
    return statuses;
  }
};

}  // namespace tutti::exchange
