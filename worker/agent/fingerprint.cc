#include "worker/agent/fingerprint.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>

#include "common/base/time.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr Duration kLoaderDeadline = std::chrono::seconds(20);
constexpr std::array<std::string_view, 12> kNumeric = {
    "libtorch", "libc10.", "libopenblas", "libblas",   "liblapack", "libmkl",
    "libdnnl",  "libgomp", "libsleef",    "libfbgemm", "libm.so",   "libcudnn"};

// What the dynamic loader prints instead of running the program (as ldd does).
Result<std::string> AskLoader(const fs::path& program) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Fail(ErrnoError("cannot make a pipe", "", errno));
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDOUT_FILENO);
  std::string name = program.string(), trace = "LD_TRACE_LOADED_OBJECTS=1";
  std::array<char*, 2> argv = {name.data(), nullptr};
  std::vector<char*> environment = {trace.data()};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  pid_t child = 0;
  const int failed =
      posix_spawn(&child, name.c_str(), &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return Fail(ErrnoError("cannot execute", name, failed));
  in.Reset();
  std::string text;
  const Instant end = MonotonicNow() + kLoaderDeadline;
  bool complete = false;
  while (!complete && MonotonicNow() < end) {
    pollfd ready{out.get(), POLLIN, 0};
    if (poll(&ready, 1, 100) <= 0) continue;
    std::array<char, 16384> data{};
    const ssize_t size = read(out.get(), data.data(), data.size());
    if (size > 0) text.append(data.data(), static_cast<std::size_t>(size));
    complete = size == 0;
  }
  if (!complete) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (!complete || status != 0) {
    return Fail(ErrorCode::kInvalid, "the engine's libraries cannot be resolved", name,
                "run ldd on it to see what is missing");
  }
  return text;
}

bool IsNumeric(const std::string& file_name) {
  return std::any_of(kNumeric.begin(), kNumeric.end(),
                     [&](std::string_view prefix) { return file_name.starts_with(prefix); });
}

}  // namespace

Result<std::vector<fs::path>> NumericLibraries(const fs::path& engine) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, AskLoader(engine));
  std::istringstream lines(text);
  std::vector<fs::path> found;
  // "	libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)"
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, arrow, path;
    if (!(words >> name >> arrow >> path) || arrow != "=>" || !path.starts_with('/')) continue;
    if (!IsNumeric(name)) continue;
    std::error_code error;
    fs::path real = fs::canonical(path, error);
    found.push_back(error ? fs::path(path) : std::move(real));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::string> NumericsFingerprint(const Machine& machine, const fs::path& engine) {
  std::ostringstream text;
  for (const std::string& flag : machine.isa_flags) text << flag << ' ';
  text << '\n';
  for (const std::uint64_t size : machine.cache_size_bytes) text << size << ' ';
  text << '\n';
  TUTTI_ASSIGN_OR_RETURN(const auto libraries, NumericLibraries(engine));
  for (const fs::path& library : libraries) {
    std::error_code error;
    text << library.filename().string() << ' ' << fs::file_size(library, error) << '\n';
  }
  TUTTI_ASSIGN_OR_RETURN(const Digest engine_digest, Sha256OfFile(engine));
  text << engine_digest.ToString() << "\nthreads = cpus_per_rank\n";
  return Sha256Of(text.str()).ToString();
}

}  // namespace tutti::agent
