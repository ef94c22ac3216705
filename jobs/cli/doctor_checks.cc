#include "jobs/cli/doctor_checks.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>
#include <ctime>

#include "common/file/file.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/text.h"
#include "jobs/supervisor/programs.h"

extern char** environ;

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;

constexpr Bytes kMemoryLeast{std::int64_t{1} << 30};
constexpr Bytes kDiskLeast{std::int64_t{2} << 30};
constexpr Duration kLoaderTimeout = std::chrono::seconds(20);
constexpr std::string_view kBlasFix =
    "sudo apt-get install libopenblas0-openmp, then build again: ./check --build-only";

// What the loader would load for a program: it lists that instead of starting it.
Result<std::string> LoaderList(const fs::path& program) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Fail(ErrnoError("cannot make a pipe", "", errno));
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  std::string trace = "LD_TRACE_LOADED_OBJECTS=1";
  std::vector<char*> env = {trace.data()};
  for (char** at = environ; *at != nullptr; ++at) env.push_back(*at);
  env.push_back(nullptr);
  std::string path = program.string();
  std::array<char*, 2> argv = {path.data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), env.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Fail(ErrnoError("cannot run", path, error));
  writing.Reset();
  std::string out;
  const Instant deadline = MonotonicNow() + kLoaderTimeout;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - MonotonicNow());
    pollfd fd{reading.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&fd, 1, static_cast<int>(left.count())) <= 0) {
      ::kill(pid, SIGKILL);
      break;
    }
    std::array<char, 4096> block{};
    const ssize_t count = ::read(reading.get(), block.data(), block.size());
    if (count <= 0) break;
    out.append(block.data(), static_cast<std::size_t>(count));
  }
  ::waitpid(pid, nullptr, 0);
  return out;
}

// The nearest folder above (or at) `path` that exists.
fs::path Existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(path, error) && path.has_parent_path() && path != path.parent_path()) {
    path = path.parent_path();
  }
  return path;
}

}  // namespace

Check CheckPrograms(const fs::path& bin_dir) {
  Check check{.name = "programs"};
  for (const char* name : {"tutti-coordinator", "tutti-worker", "tutti-engine"}) {
    if (::access((bin_dir / name).c_str(), X_OK) != 0) {
      check.message += (check.message.empty() ? "missing: " : ", ") + std::string(name);
    }
  }
  if (check.message.empty()) {
    check.message = "all in " + bin_dir.string();
  } else {
    check.health = Health::kProblem;
    check.message += " in " + bin_dir.string();
    check.fix = "build everything: ./check --build-only";
  }
  return check;
}

std::string BlasIn(std::string_view list) {
  std::string found;
  while (!list.empty()) {
    const std::size_t end = list.find('\n');
    const std::string_view line = list.substr(0, end);
    list = end == std::string_view::npos ? "" : list.substr(end + 1);
    const std::size_t arrow = line.find(" => ");
    if (arrow == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, arrow);
    const bool blas = name.find("libblas.so") != std::string_view::npos;
    const bool open = name.find("libopenblas.so") != std::string_view::npos;
    const std::string_view path = line.substr(arrow + 4);
    if (blas || (open && found.empty())) found = path.substr(0, path.find(" ("));
  }
  return found;
}

Check CheckBlas(const fs::path& bin_dir) {
  Check check{.name = "BLAS"};
  const auto list = LoaderList(bin_dir / "tutti-engine");
  if (!list) {
    return {"BLAS", Health::kProblem, "cannot look: " + list.error().message,
            "build everything: ./check --build-only"};
  }
  const std::string path = BlasIn(*list);
  if (path.find("openblas-openmp") != std::string::npos) {
    check.message = path;
  } else {
    check.health = Health::kProblem;
    check.message = path.empty()
                        ? "the engine loads none"
                        : "the engine loads " + path + ", not the OpenMP build of OpenBLAS";
    check.fix = kBlasFix;
  }
  return check;
}

std::optional<Bytes> AvailableMemory(std::string_view meminfo) {
  constexpr std::string_view kField = "MemAvailable:";
  std::size_t at = meminfo.find(kField);
  if (at == std::string_view::npos) return std::nullopt;
  at = meminfo.find_first_not_of(' ', at + kField.size());
  if (at == std::string_view::npos) return std::nullopt;
  std::int64_t kib = 0;
  const auto [end, error] =
      std::from_chars(meminfo.data() + at, meminfo.data() + meminfo.size(), kib);
  if (error != std::errc()) return std::nullopt;
  return Bytes{kib * 1024};
}

Check CheckMemory() {
  Check check{.name = "memory"};
  const auto text = ReadFile("/proc/meminfo", Bytes{1 << 16});
  const auto available = text ? AvailableMemory(*text) : std::nullopt;
  if (!available) return {"memory", Health::kNote, "/proc/meminfo does not say", ""};
  check.message = FormatBytes(*available) + " available";
  if (*available < kMemoryLeast) {
    check.health = Health::kProblem;
    check.fix = "a small model needs about 1 GiB: end other programs, or use a larger machine";
  }
  return check;
}

Check CheckDisk(const fs::path& data_dir) {
  const fs::path there = Existing(data_dir);
  const auto free = FreeSpace(there);
  if (!free) return {"disk", Health::kProblem, free.error().ToString(), ""};
  Check check{.name = "disk", .message = FormatBytes(*free) + " free at " + there.string()};
  if (*free < kDiskLeast) {
    check.health = Health::kProblem;
    check.fix = "make room, or put the data elsewhere: --data-dir DIR";
  }
  return check;
}

Check CheckDataDir(const fs::path& data_dir) {
  const fs::path there = Existing(data_dir);
  if (::access(there.c_str(), W_OK | X_OK) == 0) {
    return {"data directory", Health::kGood,
            data_dir.string() + (there == data_dir ? "" : " (made when needed)"), ""};
  }
  return {"data directory", Health::kProblem, there.string() + " cannot be written by this user",
          "give another: --data-dir DIR, or: sudo chown -R $USER " + there.string()};
}

Check CheckToken(const fs::path& data_dir) {
  struct stat stat {};
  const fs::path path = data_dir / "token";
  if (::stat(path.c_str(), &stat) != 0)
    return {"token", Health::kGood, "made at the first start", ""};
  if ((stat.st_mode & 077) != 0) {
    return {"token", Health::kProblem, path.string() + " can be read by others",
            "chmod 600 " + path.string()};
  }
  return {"token", Health::kGood, path.string() + ", for its owner only", ""};
}

Check CheckPort(int port) {
  const supervisor::HostPort address{.port = static_cast<std::uint16_t>(port)};
  const auto free = supervisor::IsFree(address);
  const std::string name = "port " + std::to_string(port);
  if (!free)
    return {name, Health::kProblem, free.error().message,
            "is the loopback interface up? ip link set lo up"};
  if (!*free) {
    return {name, Health::kNote, "taken by another program; `tutti up` takes a free one instead",
            ""};
  }
  return {name, Health::kGood, "free", ""};
}

Check CheckCoordinator(Context& context) {
  const auto at = context.client.endpoint();
  if (!at) {
    const bool away = at.error().code == ErrorCode::kUnavailable && !context.client.MayReturn();
    return {"coordinator", away ? Health::kNote : Health::kProblem, at.error().message,
            at.error().hint};
  }
  const auto cluster = context.client.Get("/api/v1/cluster", {.timeout = std::chrono::seconds(5)});
  if (!cluster) {
    const Error& error = cluster.error().front();
    return {"coordinator", Health::kProblem, error.ToString(), error.hint};
  }
  Check check{.name = "coordinator",
              .message = at->url.ToString() + ", version " + TextAt(*cluster, "/version")};
  if (At(*cluster, "/read_only") == nlohmann::json(true)) {
    check.health = Health::kProblem;
    check.message += ", read-only: its store cannot be written";
    check.fix = "make room on its disk; it recovers by itself";
  }
  return check;
}

Check CheckWorkers(Context& context) {
  const auto workers = context.client.Get("/api/v1/workers", {.timeout = std::chrono::seconds(5)});
  if (!workers) return {"workers", Health::kProblem, workers.error().front().ToString(), ""};
  int up = 0;
  std::string lost;
  for (const nlohmann::json& worker : ListAt(*workers, "/data")) {
    const std::string state = TextAt(worker, "/state");
    if (state == "up") ++up;
    if (state == "lost") lost += (lost.empty() ? "" : ", ") + TextAt(worker, "/name");
  }
  Check check{.name = "workers", .message = std::to_string(up) + " up"};
  if (!lost.empty()) check.message += ", lost: " + lost;
  if (up == 0 || !lost.empty()) {
    check.health = Health::kProblem;
    check.fix =
        "their logs lie in the data directory's logs/; `tutti down` and `tutti up` start anew";
  }
  return check;
}

Check CheckClock(std::string_view date, WallTime now) {
  constexpr double kSkewMax = 60;
  constexpr std::int64_t kYear2024 = 1'704'067'200'000;
  if (now.unix_ms < kYear2024) {
    return {"clock", Health::kProblem, "it says " + now.ToRfc3339(),
            "set it: sudo date -s …, or start NTP"};
  }
  std::tm tm{};
  const std::string text(date);
  if (text.empty() || ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm) == nullptr) {
    return {"clock", Health::kGood, now.ToRfc3339(), ""};
  }
  const double skew = static_cast<double>(now.unix_ms) / 1000 - static_cast<double>(::timegm(&tm));
  if (std::abs(skew) > kSkewMax) {
    return {
        "clock", Health::kProblem,
        RoughDuration(std::abs(skew)) + (skew > 0 ? " ahead of" : " behind") + " the coordinator's",
        "start NTP on both machines; times shown are wrong until then"};
  }
  return {"clock", Health::kGood, now.ToRfc3339() + ", as the coordinator's", ""};
}

}  // namespace tutti::cli
