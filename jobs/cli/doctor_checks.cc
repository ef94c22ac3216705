#include "jobs/cli/doctor_checks.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <ctime>

#include "common/file/file.h"
#include "jobs/cli/child_output.h"
#include "jobs/cli/text.h"
#include "jobs/supervisor/programs.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;

constexpr Bytes kMemoryLeast{std::int64_t{1} << 30};
constexpr Bytes kDiskLeast{std::int64_t{2} << 30};
constexpr std::string_view kBlasFix =
    "sudo apt-get install libopenblas0-openmp, then build again: ./check --build-only";

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
  // The loader lists what it would load instead of starting the program.
  const auto list =
      RunChild(bin_dir / "tutti-engine", {.environment = {"LD_TRACE_LOADED_OBJECTS=1"}});
  if (!list) {
    return {"BLAS", Health::kProblem, "cannot look: " + list.error().message,
            "build everything: ./check --build-only"};
  }
  const std::string path = BlasIn(list->out);
  // A LibTorch with CUDA has one inside. Whether it will do, the engine says when it starts.
  const auto starts = [&] {
    const auto world = RunChild(bin_dir / "tutti-engine", {.arguments = {"world"}});
    return world.has_value() && world->exit_code == 0;
  };
  if (path.find("openblas-openmp") != std::string::npos) {
    check.message = path;
  } else if (path.empty() && starts()) {
    check.message = "LibTorch's own";
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
  if (::access(there.c_str(), W_OK | X_OK) != 0) {
    return {"data directory", Health::kProblem, there.string() + " cannot be written by this user",
            "give another: --data-dir DIR, or: sudo chown -R $USER " + there.string()};
  }
  // What lies below has the cluster's keys: nobody else may put files there.
  struct stat stat {};
  const fs::path own = data_dir / "coordinator";
  for (const fs::path& folder : {data_dir, own}) {
    if (::stat(folder.c_str(), &stat) != 0) continue;
    const unsigned forbidden = folder == own ? 077 : 022;
    if ((stat.st_mode & forbidden) != 0) {
      return {"data directory", Health::kProblem,
              folder.string() + (folder == own ? " is open to others" : " is writable by others"),
              (folder == own ? "chmod 700 " : "chmod go-w ") + folder.string()};
    }
  }
  return {"data directory", Health::kGood,
          data_dir.string() + (there == data_dir ? "" : " (made when needed)"), ""};
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
