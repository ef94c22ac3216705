#include "worker/agent/process_state.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

namespace tutti::agent {

// "PID (NAME) STATE …", where NAME may hold anything.
bool IsStopped(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && text.size() > name_end + 2 && text[name_end + 2] == 'T';
}

std::uint64_t ResidentBytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t size_pages = 0, resident_pages = 0;
  if (!(file >> size_pages >> resident_pages)) return 0;
  return resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace tutti::agent
