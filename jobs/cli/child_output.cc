#include "jobs/cli/child_output.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "common/file/file.h"
#include "jobs/client/interrupt.h"

extern char** environ;

namespace tutti::cli {
namespace {

Result<pid_t> Spawn(const std::string& program, const ChildOptions& options, int out) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<std::string> words = {program};
  words.insert(words.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> variables = options.environment;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> env;
  for (std::string& variable : variables) env.push_back(variable.data());
  for (char** at = environ; *at != nullptr; ++at) env.push_back(*at);
  env.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), env.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Fail(ErrnoError("cannot run", program, error));
  return pid;
}

// False when the deadline or an interrupt came first.
bool ReadAll(int fd, Instant deadline, std::string& out) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - MonotonicNow());
    std::array<pollfd, 2> polled{{{fd, POLLIN, 0}, {client::InterruptFd(), POLLIN, 0}}};
    if (left.count() <= 0) return false;
    const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(left.count()));
    if (client::Interrupted() || ready == 0) return false;
    if (ready < 0) continue;
    std::array<char, 4096> block{};
    const ssize_t count = ::read(fd, block.data(), block.size());
    if (count <= 0) return true;
    out.append(block.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

Result<ChildOutput> RunChild(const std::filesystem::path& program, const ChildOptions& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Fail(ErrnoError("cannot make a pipe", "", errno));
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  TUTTI_ASSIGN_OR_RETURN(const pid_t pid, Spawn(program.string(), options, writing.get()));
  writing.Reset();
  ChildOutput output;
  const bool ended = ReadAll(reading.get(), MonotonicNow() + options.deadline, output.out);
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!ended && client::Interrupted()) {
    return Fail(ErrorCode::kUnavailable, "interrupted", program.string());
  }
  if (!ended) {
    return Fail(ErrorCode::kTimeout, "it did not end within " + FormatDuration(options.deadline),
                program.string());
  }
  output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return output;
}

}  // namespace tutti::cli
