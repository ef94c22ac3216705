// tutti-coordinator: parses its options, serves until SIGTERM or SIGINT.
//
// Exit codes: 0 a clean stop, 1 an error, 2 wrong usage or a data directory in use, 98 a port that
// was asked for is taken.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "common/base/log.h"
#include "common/file/file.h"
#include "scheduler/coordinator/coordinator.h"

namespace tutti::coordinator {
namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitPortTaken = 98;

int Complain(const Error& error, int status) {
  std::fprintf(stderr, "tutti-coordinator: %s\n", error.ToString().c_str());
  return status;
}

bool IsAbout(const Error& error, const config::HostPort& address) {
  return error.where == address.host + ":" + std::to_string(address.port);
}

int Serve(const Options& options) {
  // Blocked before any thread starts, so that all of them inherit it.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGUSR1);  // our own: the loop cannot go on
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  const auto failed = [](const Error&) { ::kill(::getpid(), SIGUSR1); };
  auto coordinator = Coordinator::Start(options, failed);
  if (!coordinator) {
    const Error& error = coordinator.error();
    int status = kExitError;
    if (error.code == ErrorCode::kConflict) {
      const bool port = IsAbout(error, options.http) || IsAbout(error, options.zmq);
      status = port ? kExitPortTaken : kExitUsage;
    }
    return Complain(error, status);
  }
  int number = 0;
  while (sigwait(&stop, &number) != 0) {
  }
  Log(kInfo, "stopping", {{"signal", number}});
  (*coordinator)->Stop();
  return number == SIGUSR1 ? kExitError : 0;
}

int Main(int argc, char** argv) {
  ConfigureLog("coordinator", kInfo);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto parsed = ParseOptions(arguments);
  if (!parsed) return Complain(parsed.error(), kExitUsage);
  if (const auto* show = std::get_if<ShowText>(&*parsed)) {
    std::fputs(show->text.c_str(), stdout);
    return 0;
  }
  return Serve(std::get<Options>(*parsed));
}

}  // namespace
}  // namespace tutti::coordinator

int main(int argc, char** argv) { return tutti::coordinator::Main(argc, argv); }
