// tutti-worker: offers a machine's slots to a coordinator. `tutti-worker --help` lists its flags.
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
  auto agent = Agent::Start(std::get<Settings>(std::move(*parsed)));
  if (!agent) return Report(agent.error());
  return (*agent)->Run();
}
