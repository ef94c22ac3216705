#include "worker/agent/process_state.h"

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

}  // namespace tutti::agent
