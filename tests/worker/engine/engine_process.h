// The real tutti-engine as a child process of a test: started with pipes, waited for with a
// deadline.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "common/file/file.h"

namespace tutti::engine {

inline constexpr int kDeadlineMs = 60'000;

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
  }
};

// All that comes until the other end closes.
inline std::string Drain(int fd) {
  std::string text;
  std::array<char, 65536> data{};
  while (true) {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, kDeadlineMs) <= 0) {
      ADD_FAILURE() << "nothing came for a minute after: " << text;
      return text;
    }
    const ssize_t size = read(fd, data.data(), data.size());
    if (size <= 0) return text;
    text.append(data.data(), static_cast<std::size_t>(size));
  }
}

struct Outcome {
  int status = -1;  // exit status; -N for a death by signal N
  std::string out, err;
};

inline int StatusOf(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status);
}

struct EngineOptions {
  std::string input{};
  std::map<std::string, std::string> environment{};
  std::map<int, int> fds{};  // child's number -> ours
};

// Starts `tutti-engine arguments…`; its stdin, stdout and stderr are those given.
inline pid_t StartEngine(const std::vector<std::string>& arguments, int in, int out, int err,
                         const EngineOptions& options = {}) {
  std::vector<std::string> words = {TUTTI_ENGINE_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  for (const auto& [number, fd] : options.fds) {
    if (number == fd) {
      fcntl(fd, F_SETFD, 0);
    } else {
      dup2(fd, number);
    }
  }
  execv(argv[0], argv.data());
  _exit(126);
}

inline Outcome RunEngine(const std::vector<std::string>& arguments,
                         const EngineOptions& options = {}) {
  const std::string folder = testing::TempDir();
  const std::string out = folder + "engine.out." + std::to_string(getpid());
  const std::string err = folder + "engine.err." + std::to_string(getpid());
  const std::string in = folder + "engine.in." + std::to_string(getpid());
  std::ofstream(in) << options.input;
  const UniqueFd in_fd(open(in.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd out_fd(open(out.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const UniqueFd err_fd(open(err.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const pid_t pid = StartEngine(arguments, in_fd.get(), out_fd.get(), err_fd.get(), options);
  int status = 0;
  waitpid(pid, &status, 0);
  Outcome outcome{.status = StatusOf(status),
                  .out = ReadFile(out).value_or(""),
                  .err = ReadFile(err).value_or("")};
  for (const std::string& path : {in, out, err}) unlink(path.c_str());
  return outcome;
}

}  // namespace tutti::engine
