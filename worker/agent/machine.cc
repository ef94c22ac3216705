#include "worker/agent/machine.h"

#include <hwloc.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

struct TopologyDeleter {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, TopologyDeleter>;

Result<Topology> LoadTopology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) {
    return Fail(ErrorCode::kInternal, "hwloc does not start");
  }
  Topology topology(raw);
  // Drivers of graphics cards are slow to load and not needed here (gpus.h asks them itself).
  for (const char* component : {"cuda", "gl", "nvml", "opencl", "rsmi", "levelzero"}) {
    hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component);
  }
  if (hwloc_topology_load(raw) != 0) {
    return Fail(ErrorCode::kInternal, "hwloc cannot read this machine's topology");
  }
  return topology;
}

std::vector<std::uint64_t> CacheSizes(hwloc_topology_t topology) {
  std::vector<std::uint64_t> sizes;
  hwloc_obj_t object = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, 0);
  for (; object != nullptr; object = object->parent) {
    if (hwloc_obj_type_is_dcache(object->type) != 0) sizes.push_back(object->attr->cache.size);
  }
  return sizes;
}

// "key : value" lines of /proc/cpuinfo, of the first processor.
std::string CpuInfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::vector<std::string> IsaFlags() {
  std::string text = CpuInfo("flags");
  if (text.empty()) text = CpuInfo("Features");  // as ARM has it
  std::istringstream words(text);
  std::set<std::string> flags;
  for (std::string word; words >> word;) flags.insert(word);
  return {flags.begin(), flags.end()};
}

std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> ReadNumber(const fs::path& path) {
  const auto text = ReadFile(path, Bytes{4096});
  return text ? ParseNumber(*text) : std::nullopt;
}

// The number behind a word at the start of a line: "MemTotal:  16384 kB", "oom_kill 3".
std::optional<std::uint64_t> ReadField(const fs::path& path, const std::string& word) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first;
    std::uint64_t number = 0;
    if (words >> first >> number && first == word) return number;
  }
  return std::nullopt;
}

std::uint64_t MemInfoBytes(const std::string& field) {
  return ReadField("/proc/meminfo", field + ":").value_or(0) * 1024;
}

// This process' folder in the hierarchy of `controller` ("memory", or "" for version 2) as
// /proc/self/cgroup has it: "/user.slice/…".
std::optional<std::string> GroupOf(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    if (controller.empty() && second == first + 1) return line.substr(second + 1);
    for (std::string name; std::getline(names, name, ',');) {
      if (!controller.empty() && name == controller) return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

void AddUpwards(const fs::path& root, const std::string& group, const std::string& file,
                std::vector<fs::path>& found) {
  std::error_code error;
  fs::path folder = (root / fs::path(group).relative_path()).lexically_normal();
  while (true) {
    // In a container the folder's name may be one of outside: then the root is what there is.
    if (fs::exists(folder / file, error)) found.push_back(folder / file);
    if (folder == root || !folder.has_relative_path() || folder.parent_path() == folder) return;
    folder = folder.parent_path();
  }
}

}  // namespace

std::vector<fs::path> MemoryGroupFiles(const std::string& v1, const std::string& v2) {
  std::vector<fs::path> found;
  if (const auto group = GroupOf("memory")) {
    AddUpwards("/sys/fs/cgroup/memory", *group, v1, found);
  }
  if (const auto group = GroupOf("")) {
    AddUpwards("/sys/fs/cgroup", *group, v2, found);
  }
  return found;
}

Result<Machine> ProbeMachine() {
  TUTTI_ASSIGN_OR_RETURN(const Topology topology, LoadTopology());
  Machine machine;
  const int allowed = hwloc_bitmap_weight(hwloc_topology_get_allowed_cpuset(topology.get()));
  machine.cores = static_cast<std::uint32_t>(std::max(allowed, 1));
  machine.cpu_model = CpuInfo("model name");
  machine.isa_flags = IsaFlags();
  machine.cache_size_bytes = CacheSizes(topology.get());
  machine.memory_bytes = MemInfoBytes("MemTotal");
  for (const fs::path& path : MemoryGroupFiles("memory.limit_in_bytes", "memory.max")) {
    // Without a limit: "max", or a number beyond all memory.
    if (const auto limit = ReadNumber(path); limit && *limit > 0) {
      machine.memory_bytes = std::min(machine.memory_bytes, *limit);
    }
  }
  return machine;
}

Result<std::string> TopologyXml() {
  TUTTI_ASSIGN_OR_RETURN(const Topology topology, LoadTopology());
  char* text = nullptr;
  int size = 0;
  if (hwloc_topology_export_xmlbuffer(topology.get(), &text, &size, 0) != 0) {
    return Fail(ErrorCode::kInternal, "hwloc cannot describe this machine's topology");
  }
  std::string xml(text);
  hwloc_free_xmlbuffer(topology.get(), text);
  return xml;
}

Usage ProbeUsage() {
  Usage usage;
  const std::uint64_t total = MemInfoBytes("MemTotal"), available = MemInfoBytes("MemAvailable");
  usage.memory_used_bytes = total - std::min(total, available);
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word;
  std::uint64_t ticks = 0;
  // user nice system idle iowait irq softirq steal; guests are in user already
  for (int column = 0; column < 8; ++column) {
    std::uint64_t count = 0;
    if (!(file >> count)) break;
    if (column != 3 && column != 4) ticks += count;
  }
  usage.cpu_seconds = static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return usage;
}

std::optional<std::uint64_t> MemoryKills() {
  for (const fs::path& path : MemoryGroupFiles("memory.oom_control", "memory.events")) {
    if (const auto kills = ReadField(path, "oom_kill")) return kills;
  }
  return ReadField("/proc/vmstat", "oom_kill");
}

}  // namespace tutti::agent
