#include "worker/engine/commands.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>
#include <new>

#include "common/base/log.h"
#include "common/version/version.h"
#include "worker/engine/blas.h"
#include "worker/engine/exception.h"
#include "worker/engine/exit_codes.h"
#include "worker/engine/request.h"
#include "worker/engine/threads.h"
#include "worker/engine/tools.h"
#include "worker/engine/train.h"
#include "worker/engine/world.h"
#include "worker/engine/zygote.h"
#include "worker/parity/parity.h"
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
  const int status = parity::RunParity(folder, std::cout);
  std::cout.flush();
  return status == 0 ? kExitOk : kExitInternal;
}

int Zygote(int fd) {
  World::Preload();
  return ExitOf(RunZygote(UniqueFd(fd), {.run = RunCommandLine, .set_threads = SetThreads}));
}

// For the worker: a request's object to an answer's object on stdout.
int Tool(Result<nlohmann::json> (*tool)(const nlohmann::json&), const std::string& request_path) {
  const auto request = ReadRequest(request_path);
  if (!request) return WriteAnswer(Fail(request.error()), std::cout);
  try {
    return WriteAnswer(tool(*request), std::cout);
  } catch (const std::bad_alloc&) {
    return WriteAnswer(Fail(ErrorCode::kQuota, "out of memory"), std::cout);
  } catch (const std::exception& exception) {
    return WriteAnswer(Fail(UnexpectedError(exception)), std::cout);
  }
}

int ShowWorld() {
  auto world = World::Join();
  if (!world) return Report(world.error(), kExitInternal);
  std::cout << "rank " << world->rank() << " of " << world->size() << std::endl;
  if (const Status met = world->Barrier(); !met) return ExitOf(met);
  world->Leave();
  return kExitOk;
}

// What the command line asks for; `run` is set by the subcommand that was given.
struct Invocation {
  std::string path;
  int fd = -1;
  std::string request;
  TrainArguments train;
  TryArguments attempt;
  EvalArguments eval;
  MergeArguments merge;
  LogitsArguments logits;
  std::function<int()> run;
};

void AddGangCommands(CLI::App& app, Invocation& in) {
  CLI::App* train = app.add_subcommand("train", "one rank of a gang; a worker starts it");
  train->add_option("--link-fd", in.train.link_fd, "the socket to the worker");
  train->add_option("--memory-fd", in.train.memory_fd, "the gang's memory");
  train->callback([&in] { in.run = [&in] { return RunTrain(in.train); }; });

  CLI::App* world = app.add_subcommand("world", "which rank of which MPI world this is");
  world->callback([&in] { in.run = ShowWorld; });

  CLI::App* zygote = app.add_subcommand("zygote", "serve a worker: fork ranks and tools");
  zygote->add_option("--fd", in.fd, "a SOCK_SEQPACKET socket")->required();
  zygote->callback([&in] { in.run = [&in] { return OnBlas([&in] { return Zygote(in.fd); }); }; });
}

constexpr char kRequestHelp[] = "a file with the request's JSON object; the answer goes to stdout";

void AddInspect(CLI::App& app, Invocation& in) {
  CLI::App* inspect = app.add_subcommand("inspect", "look at a job's data and model for a worker");
  inspect->add_option("--request", in.request, kRequestHelp)->required();
  inspect->callback(
      [&in] { in.run = [&in] { return OnBlas([&in] { return Tool(Inspect, in.request); }); }; });
}

void AddCheckpoints(CLI::App& app, Invocation& in) {
  CLI::App* checkpoints =
      app.add_subcommand("checkpoints", "list, verify or collect a job's checkpoints for a worker");
  checkpoints->add_option("--request", in.request, kRequestHelp)->required();
  checkpoints->callback([&in] { in.run = [&in] { return Tool(Checkpoints, in.request); }; });
}

// Options of a language model's answers, by their names in the request.
void AddGeneration(CLI::App& command, nlohmann::json& generation) {
  const auto whole = [&](const char* option, const char* name, const char* help) {
    command.add_option_function<std::int64_t>(
        option, [&generation, name](std::int64_t value) { generation[name] = value; }, help);
  };
  const auto number = [&](const char* option, const char* name, const char* help) {
    command.add_option_function<double>(
        option, [&generation, name](double value) { generation[name] = value; }, help);
  };
  whole("--max-new-tokens", "max_new_tokens", "tokens of an answer at most");
  whole("--num-beams", "num_beams", "beam search with as many beams");
  whole("--sample-top-k", "top_k", "sample among the likeliest tokens");
  whole("--seed", "seed", "sample, the same for the same seed");
  number("--temperature", "temperature", "sample; below 1 keeps closer to the likeliest");
  number("--top-p", "top_p", "sample among the likeliest that hold this probability");
  number("--repetition-penalty", "repetition_penalty", "above 1 weakens tokens that were there");
  command
      .add_option_function<std::vector<std::string>>(
          "--stop",
          [&generation](const std::vector<std::string>& texts) { generation["stop"] = texts; },
          "a text that ends an answer; may be given again")
      ->allow_extra_args(false);
  command.add_option_function<std::string>(
      "--system", [&generation](const std::string& text) { generation["system"] = text; },
      "of a chat: what comes before the text");
  command.add_flag_function(
      "--chat,!--no-chat", [&generation](std::int64_t count) { generation["chat"] = count > 0; },
      "ask by the model's chat template, or not; without either as the model was tuned");
}

void AddTry(CLI::App& app, Invocation& in) {
  CLI::App* attempt = app.add_subcommand("try", "classify or continue texts");
  attempt->add_option("TEXT", in.attempt.texts, "texts; none: the lines of stdin");
  attempt->add_option("--model", in.attempt.model, "a model's directory");
  attempt->add_option("--top-k", in.attempt.top_k, "labels shown of each")
      ->check(CLI::PositiveNumber);
  AddGeneration(*attempt, in.attempt.generation);
  attempt->add_flag("--json", in.attempt.json, "the answer as JSON");
  attempt->add_option("--request", in.request, kRequestHelp)->excludes("--model");
  attempt->callback([&in] {
    if (in.request.empty() && in.attempt.model.empty()) throw CLI::RequiredError("--model");
    in.run = [&in] {
      return OnBlas(
          [&in] { return in.request.empty() ? TryByHand(in.attempt) : Tool(Try, in.request); });
    };
  });
}

void AddEval(CLI::App& app, Invocation& in) {
  CLI::App* eval = app.add_subcommand("eval", "evaluate a model on rows");
  eval->add_option("--model", in.eval.model, "a model's directory");
  eval->add_option("--data", in.eval.data, "a data file");
  eval->add_option("--max-length", in.eval.max_length, "tokens of a row; longer ones are cut");
  eval->add_option("--reference", in.eval.reference,
                   "a model's directory: what a language model's preferences are compared with");
  eval->add_flag("--fresh-head", in.eval.fresh_head,
                 "give a base model a new head with the labels of the data");
  eval->add_flag("--json", in.eval.json, "the answer as JSON");
  eval->add_option("--request", in.request, kRequestHelp)->excludes("--model");
  eval->callback([&in] {
    if (in.request.empty() && in.eval.model.empty()) throw CLI::RequiredError("--model");
    if (in.request.empty() && in.eval.data.empty()) throw CLI::RequiredError("--data");
    in.run = [&in] {
      return OnBlas(
          [&in] { return in.request.empty() ? EvalByHand(in.eval) : Tool(Eval, in.request); });
    };
  });
}

void AddMerge(CLI::App& app, Invocation& in) {
  CLI::App* merge = app.add_subcommand("merge", "write an adapter and its base as one model");
  merge->add_option("--model", in.merge.from, "an adapter's directory, its base below base/")
      ->required();
  merge->add_option("--to", in.merge.to, "the model's directory, which is made")->required();
  merge->add_flag("--json", in.merge.json, "the answer as JSON");
  merge->callback(
      [&in] { in.run = [&in] { return OnBlas([&in] { return MergeByHand(in.merge); }); }; });
}

void AddLogits(CLI::App& app, Invocation& in) {
  CLI::App* logits = app.add_subcommand("logits", "what a language model expects after texts");
  logits->add_option("--model", in.logits.model, "a model's directory")->required();
  logits->add_option("TEXT", in.logits.texts, "texts")->required();
  logits->callback(
      [&in] { in.run = [&in] { return OnBlas([&in] { return LogitsByHand(in.logits); }); }; });
}

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

void AddParity(CLI::App& app, Invocation& in) {
  CLI::App* parity = app.add_subcommand("parity", "check the engine against reference outputs");
  parity->add_option("FOLDER", in.path, "one folder of reference cases")->required();
  parity->callback([&in] { in.run = [&in] { return OnBlas([&in] { return Parity(in.path); }); }; });
}

void AddCommands(CLI::App& app, Invocation& in) {
  AddGangCommands(app, in);
  AddInspect(app, in);
  AddCheckpoints(app, in);
  AddTry(app, in);
  AddEval(app, in);
  AddMerge(app, in);
  AddLogits(app, in);
  AddTextCommands(app, in);
  AddParity(app, in);
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
    return Report(UnexpectedError(exception), kExitInternal);
  }
}

}  // namespace tutti::engine
