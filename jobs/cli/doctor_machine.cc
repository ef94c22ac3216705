// What of this machine ranks need: processor, libraries, MPI, memory to share, limits.
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "common/file/file.h"
#include "jobs/cli/child_output.h"
#include "jobs/cli/doctor_checks.h"
#include "jobs/supervisor/options.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;

constexpr Duration kMpiDeadline = std::chrono::seconds(30);
constexpr std::uint64_t kFilesLeast = 1024;
constexpr std::uint64_t kFilesGood = 4096;

std::string_view FieldOf(std::string_view text, std::string_view field) {
  const std::size_t at = text.find(field);
  if (at == std::string_view::npos) return {};
  const std::size_t colon = text.find(':', at);
  const std::size_t end = text.find('\n', at + 1);  // `field` may begin with one
  if (colon == std::string_view::npos || colon > end) return {};
  std::string_view value = text.substr(colon + 1, end - colon - 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  return value;
}

std::string LimitText(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}

}  // namespace

Check CheckCpu(std::string_view cpuinfo, int cores) {
  Check check{.name = "processor"};
  std::set<std::string_view> flags;
  std::string_view list = FieldOf(cpuinfo, "\nflags");
  while (!list.empty()) {
    const std::size_t space = list.find(' ');
    flags.insert(list.substr(0, space));
    list = space == std::string_view::npos ? "" : list.substr(space + 1);
  }
  std::string has;
  for (const char* flag : {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}) {
    if (flags.contains(flag)) has += (has.empty() ? "" : ", ") + std::string(flag);
  }
  check.message = std::to_string(cores) + (cores == 1 ? " core, " : " cores, ") +
                  std::string(FieldOf(cpuinfo, "model name"));
  if (!has.empty()) check.message += "; " + has;
  if (!flags.empty() && !flags.contains("avx2")) {
    check.health = Health::kNote;
    check.message += "; no AVX2: training is several times slower than it could be";
    check.fix = "in a virtual machine: pass the host's CPU through (-cpu host)";
  } else if (!flags.contains("amx_bf16") && !flags.contains("avx512_bf16")) {
    check.message += "; bf16 is emulated";
  }
  return check;
}

Check CheckCpu() {
  const auto text = ReadFile("/proc/cpuinfo", Bytes{4 << 20});
  if (!text) return {"processor", Health::kNote, text.error().ToString(), ""};
  return CheckCpu(*text, supervisor::Cores());
}

std::string MissingIn(std::string_view loader_list) {
  std::string missing;
  while (!loader_list.empty()) {
    const std::size_t end = loader_list.find('\n');
    const std::string_view line = loader_list.substr(0, end);
    loader_list = end == std::string_view::npos ? "" : loader_list.substr(end + 1);
    if (line.find("not found") == std::string_view::npos) continue;
    const std::size_t from = std::min(line.find_first_not_of("\t "), line.size());
    missing +=
        (missing.empty() ? "" : ", ") + std::string(line.substr(from, line.find(" =>") - from));
  }
  return missing;
}

Check CheckLibraries(const fs::path& bin_dir) {
  std::string missing;
  for (const char* name : {"tutti-coordinator", "tutti-worker", "tutti-engine"}) {
    const auto list = RunChild(bin_dir / name, {.environment = {"LD_TRACE_LOADED_OBJECTS=1"}});
    const std::string of_it = list ? MissingIn(list->out) : list.error().message;
    if (!of_it.empty()) missing += (missing.empty() ? "" : "; ") + std::string(name) + ": " + of_it;
  }
  if (missing.empty()) return {"libraries", Health::kGood, "all that the programs load", ""};
  return {"libraries", Health::kProblem, "missing: " + missing,
          "packaging/install.sh installs every package of packaging/apt.txt"};
}

// MPI starts alone: its libraries and plugins fit together. Isolated: without that a lone rank
// starts a daemon of Open MPI's own, which no gang has and which takes seconds.
Check CheckMpi(const fs::path& bin_dir) {
  const auto world = RunChild(bin_dir / "tutti-engine",
                              {.arguments = {"world"},
                               .environment = {"OMPI_MCA_ess_singleton_isolated=1",
                                               "OMPI_MCA_pml=ob1", "OMPI_MCA_btl=self,tcp"},
                               .deadline = kMpiDeadline});
  if (world && world->exit_code == 0 && world->out.starts_with("rank 0 of 1")) {
    return {"MPI", Health::kGood, "a world of one rank starts and ends", ""};
  }
  return {
      "MPI", Health::kProblem,
      world ? "a world of one rank ended with status " + std::to_string(world->exit_code)
            : "a world of one rank: " + world.error().message,
      "see why: " + (bin_dir / "tutti-engine").string() + " world; packages: openmpi-bin libpmix2"};
}

// Gangs share weights in a memfd; /dev/shm is small in many containers and not needed.
Check CheckSharedMemory() {
  const UniqueFd fd(::memfd_create("tutti-doctor", MFD_CLOEXEC));
  if (fd && ::ftruncate(fd.get(), 1 << 20) == 0) {
    return {"shared memory", Health::kGood, "memfd works", ""};
  }
  return {"shared memory", Health::kProblem, std::string("memfd_create: ") + std::strerror(errno),
          "allow memfd_create in this container's seccomp profile"};
}

Check CheckLimits() {
  rlimit files{};
  rlimit core{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  ::getrlimit(RLIMIT_CORE, &core);
  Check check{.name = "limits",
              .message = LimitText(files.rlim_cur) + " open files, core dumps " +
                         (core.rlim_cur == 0 ? "off" : "up to " + LimitText(core.rlim_cur))};
  if (files.rlim_cur < kFilesLeast) {
    check.health = Health::kProblem;
  } else if (files.rlim_cur < kFilesGood && files.rlim_max < kFilesGood) {
    check.health = Health::kNote;
  }
  if (check.health != Health::kGood) {
    check.fix = "ulimit -n 4096; in a systemd unit: LimitNOFILE=65536";
  }
  return check;
}

Check CheckControlGroups() {
  const fs::path root = "/sys/fs/cgroup";
  std::error_code ignored;
  if (!fs::exists(root / "cgroup.controllers", ignored)) {
    return {"cgroups", Health::kNote,
            "no cgroup v2 here: memory of ranks is watched, not limited by the kernel", ""};
  }
  const auto own = ReadFile("/proc/self/cgroup", Bytes{1 << 16});
  std::string path = own ? *own : std::string();
  if (const std::size_t at = path.find("0::"); at != std::string::npos) {
    path = path.substr(at + 3, path.find('\n', at) - at - 3);
  } else {
    path.clear();
  }
  const fs::path group = root / fs::path(path).relative_path();
  if (::access((group / "cgroup.procs").c_str(), W_OK) == 0) {
    return {"cgroups", Health::kGood, "v2, writable at " + group.string(), ""};
  }
  return {"cgroups", Health::kNote,
          "v2, but not writable: memory of ranks is watched, not limited by the kernel",
          "run the worker as a systemd unit with Delegate=yes (packaging/systemd)"};
}

}  // namespace tutti::cli
