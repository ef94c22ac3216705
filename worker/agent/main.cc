// tutti-worker: offers a machine's slots to a coordinator. `tutti-worker --help` lists its flags.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "common/base/log.h"
#include "worker/agent/agent.h"
#include "worker/agent/settings.h"

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int Report(const tutti::Error& error) {
  std::fprintf(stderr, "tutti-worker: %s\n", error.ToString().c_str());
  // What starting again would not mend.
  const bool usage = error.code == tutti::ErrorCode::kInvalid ||
                     error.code == tutti::ErrorCode::kConflict ||
                     error.code == tutti::ErrorCode::kAuth;
  return usage ? kExitUsage : kExitFailed;
}

// What is read in place stays open for as long as its gang runs: shells allow 1,024 files.
void AllowOpenFiles() {
  constexpr rlim_t kFiles = 65'536;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kFiles) return;
  limit.rlim_cur = std::min(kFiles, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  using tutti::agent::Agent;
  using tutti::agent::Settings;
  tutti::ConfigureLog("worker", tutti::kInfo);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  auto parsed = tutti::agent::ParseSettings(arguments);
  if (!parsed) return Report(parsed.error());
  if (const auto* text = std::get_if<tutti::agent::ShowText>(&*parsed)) {
    std::fputs(text->text.c_str(), stdout);
    return 0;
  }
  AllowOpenFiles();
  auto agent = Agent::Start(std::get<Settings>(std::move(*parsed)));
  if (!agent) return Report(agent.error());
  return (*agent)->Run();
}
