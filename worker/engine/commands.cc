#include "worker/engine/commands.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>
#include <new>

#include "common/base/log.h"
#include "common/version/version.h"
#include "worker/engine/blas.h"
#include "worker/engine/exit_codes.h"
#include "worker/engine/parity.h"
#include "worker/engine/threads.h"
#include "worker/engine/zygote.h"
#include "worker/text/commands.h"

namespace tutti::engine {
namespace {

int Report(const Error& error, int exit_code) {
  std::cerr << "tutti-engine: " << error.ToString() << std::endl;
  return exit_code;
}

int ExitOf(const Status& status) {
  return status ? kExitOk : Report(status.error(), ExitCodeOf(status.error().code));
}

// Runs what computes tensors, on a BLAS that is fit for it.
int OnBlas(const std::function<int()>& command) {
  const auto blas = CheckBlas();
  return blas ? command() : Report(blas.error(), kExitBlas);
}

int Parity(const std::string& folder) {
  const auto all_passed = RunParityCommand(folder, std::cout);
  std::cout.flush();
  if (!all_passed) return Report(all_passed.error(), ExitCodeOf(all_passed.error().code));
  return *all_passed ? kExitOk : kExitInternal;
}

int Zygote(int fd) {
  return ExitOf(RunZygote(UniqueFd(fd), {.run = RunCommandLine, .set_threads = SetThreads}));
}

// What the command line asks for; `run` is set by the subcommand that was given.
struct Invocation {
  std::string path;
  int fd = -1;
  std::function<int()> run;
};

void AddTextCommands(CLI::App& app, Invocation& in) {
  CLI::App* tokenize = app.add_subcommand("tokenize", "JSON strings on stdin to arrays of ids");
  tokenize->add_option("MODEL_DIR", in.path, "a model's directory")->required();
  tokenize->callback([&in] {
    in.run = [&in] { return ExitOf(text::RunTokenize(in.path, std::cin, std::cout)); };
  });
  CLI::App* detokenize = app.add_subcommand("detokenize", "arrays of ids on stdin to JSON strings");
  detokenize->add_option("MODEL_DIR", in.path, "a model's directory")->required();
  detokenize->callback([&in] {
    in.run = [&in] { return ExitOf(text::RunDetokenize(in.path, std::cin, std::cout)); };
  });
}

void AddCommands(CLI::App& app, Invocation& in) {
  AddTextCommands(app, in);
  CLI::App* parity = app.add_subcommand("parity", "check the engine against reference outputs");
  parity->add_option("FOLDER", in.path, "one folder of reference cases")->required();
  parity->callback([&in] { in.run = [&in] { return OnBlas([&in] { return Parity(in.path); }); }; });
  CLI::App* zygote = app.add_subcommand("zygote", "serve a worker: fork ranks and tools");
  zygote->add_option("--fd", in.fd, "a SOCK_SEQPACKET socket")->required();
  zygote->callback([&in] { in.run = [&in] { return OnBlas([&in] { return Zygote(in.fd); }); }; });
}

}  // namespace

int RunCommandLine(const std::vector<std::string>& arguments) {
  ConfigureLog("tutti-engine", kInfo);
  std::ios::sync_with_stdio(false);
  CLI::App app("tutti-engine: training ranks and model tools", "tutti-engine");
  app.set_version_flag("--version", [] {
    return "tutti-engine " + std::string(Version()) + " (" + std::string(Revision()) + ")";
  });
  app.require_subcommand(1);
  Invocation invocation;
  AddCommands(app, invocation);
  if (!arguments.empty() && !arguments[0].starts_with('-') &&
      app.get_subcommands(
             [&](const CLI::App* command) { return command->get_name() == arguments[0]; })
          .empty()) {
    return Report({ErrorCode::kInvalid, "no such command", arguments[0], "see --help"}, kExitUsage);
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  try {
    return invocation.run();
  } catch (const std::bad_alloc&) {
    return Report({ErrorCode::kQuota, "out of memory"}, kExitOutOfMemory);
  } catch (const std::exception& exception) {
    return Report({ErrorCode::kInternal, exception.what()}, kExitInternal);
  }
}

}  // namespace tutti::engine
