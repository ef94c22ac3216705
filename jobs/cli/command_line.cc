#include "jobs/cli/command_line.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <optional>

#include "jobs/cli/definitions.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/usage_error.h"

namespace tutti::cli {
namespace {

CommandLine Saying(CommandLine line, int exit, std::string out, Error error = {}) {
  line.run = [exit, out = std::move(out), error = std::move(error)](Context& context) {
    if (!out.empty()) context.console.OutRaw(out);
    if (!error.message.empty()) context.console.Complain(error);
    return exit;
  };
  return line;
}

// The command that the words led to, as far as they made sense.
const CLI::App* Deepest(const CLI::App& app) {
  const CLI::App* at = &app;
  for (;;) {
    const auto parsed = at->get_subcommands();
    if (parsed.empty()) return at;
    at = parsed.front();
  }
}

// `tutti coordinator …` and `tutti worker …` are their programs, but for the commands about
// workers.
CommandLine SiblingLine(const std::vector<std::string>& args) {
  const std::string program = "tutti-" + args[0];
  CommandLine line;
  line.run = [program, rest = std::vector<std::string>(args.begin() + 1, args.end())](Context& c) {
    return ExecSibling(c, program, rest);
  };
  return line;
}

// `tutti simulate whatif …` without a workload asks the cluster for its own; where that is, options
// of `tutti` say as elsewhere.
std::optional<CommandLine> WhatIfLine(const std::vector<std::string>& args) {
  const auto has = [&](const char* word) {
    return std::find(args.begin(), args.end(), word) != args.end();
  };
  if (args.size() < 2 || args[0] != "simulate" || args[1] != "whatif") return std::nullopt;
  if (has("--workload") || has("-h") || has("--help")) return std::nullopt;
  CommandLine line;
  std::vector<std::string> rest;
  for (std::size_t i = 1; i < args.size(); ++i) {
    std::string* option = args[i] == "--data-dir" ? &line.endpoint.data_dir
                          : args[i] == "--url"    ? &line.endpoint.url
                          : args[i] == "--pin"    ? &line.endpoint.pin
                                                  : nullptr;
    if (option == nullptr || i + 1 == args.size()) {
      rest.push_back(args[i]);
    } else {
      *option = args[++i];
    }
  }
  line.run = [rest](Context& c) { return WhatIf(c, rest); };
  return line;
}

bool IsSibling(const std::vector<std::string>& args) {
  if (args.empty()) return false;
  if (args[0] == "coordinator" || args[0] == "simulate") return true;
  if (args[0] != "worker" || args.size() == 1) return false;
  return std::none_of(args.begin() + 1, args.end(), [](const std::string& word) {
    return word == "list" || word == "token" || word == "drain" || word == "undrain" ||
           word == "remove" || word == "-h" || word == "--help";
  });
}

}  // namespace

Definitions::Definitions() {
  app.fallthrough();
  app.require_subcommand(0, 1);
  app.set_help_flag("-h,--help", "Print help and exit");
  app.get_formatter()->column_width(34);
  app.add_option("--url", line.endpoint.url,
                 "The coordinator's address (or TUTTI_URL, with TUTTI_TOKEN)")
      ->type_name("URL");
  app.add_option(
         "--pin", line.endpoint.pin,
         "The pin of its certificate, when https (or TUTTI_PIN; TUTTI_CA_FILE: authorities)")
      ->type_name("sha256:HEX");
  app.add_option("--data-dir", line.endpoint.data_dir,
                 "The cluster's directory (or TUTTI_DATA_DIR; default ~/.local/share/tutti)")
      ->type_name("DIR");
  app.add_flag("--json", line.console.json,
               "Machine-readable output; one object a line when following");
  app.add_flag("-q,--quiet", line.console.quiet, "Ids only, no notes");
  app.add_option("--color", color, "auto, always or never (NO_COLOR counts for auto)")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN");
  app.add_flag("--version", version, "Print version and revision");
  app.footer(
      "Exit codes: 0 ok, 1 job failed, 2 usage, 3 validation, 4 auth, 5 not found, 6 quota,\n"
      "7 unreachable, 8 timeout, 130 interrupted. `tutti COMMAND --help` says more;\n"
      "`tutti --help` has the options of all commands: --data-dir, --url, --json, -q.");
  DefineSubmitting(*this);
  DefineJobs(*this);
  DefineCheckpoints(*this);
  DefineModels(*this);
  DefineCluster(*this);
  DefineUpkeep(*this);
  DefineUnsupported(*this);
}

void Definitions::On(CLI::App* command, std::function<int(Context&)> run) {
  command->callback([this, run = std::move(run)] { line.run = run; });
}

CLI::App* Definitions::Add(CLI::App* parent, const char* name, const char* what,
                           const char* group) {
  CLI::App* command = parent->add_subcommand(name, what);
  if (*group != '\0') command->group(group);
  return command;
}

void Definitions::JobArgument(CLI::App* command, std::string& into) {
  command->add_option("JOB", into, "Its id, a prefix of it, or its name")
      ->required()
      ->type_name("");
  job_commands.push_back(command);
}

void Definitions::ModelArgument(CLI::App* command, std::string& into) {
  command->add_option("MODEL", into, "ft:…, or the id or name of the job that made it")
      ->required()
      ->type_name("");
  model_commands.push_back(command);
}

void Definitions::ModelOrFolderArgument(CLI::App* command, std::string& into) {
  ModelArgument(command, into);
  command->get_option("MODEL")->description(
      "ft:…, the id or name of the job that made it, or ./DIR: a model's or an adapter's folder on "
      "this machine");
}

std::vector<CommandWords> Definitions::Words() const {
  std::vector<CommandWords> words;
  const auto has = [](const std::vector<const CLI::App*>& list, const CLI::App* command) {
    return std::find(list.begin(), list.end(), command) != list.end();
  };
  const std::function<void(const CLI::App*, const std::string&)> walk =
      [&](const CLI::App* command, const std::string& path) {
        CommandWords entry{.path = path,
                           .takes_job = has(job_commands, command),
                           .takes_model = has(model_commands, command)};
        for (const CLI::App* from : {command, &app}) {
          for (const CLI::Option* option : from->get_options()) {
            for (const std::string& name : option->get_lnames())
              entry.options.push_back("--" + name);
          }
          if (command == &app) break;
        }
        const auto subcommands = command->get_subcommands(nullptr);
        for (const CLI::App* sub : subcommands) entry.subcommands.push_back(sub->get_name());
        words.push_back(std::move(entry));
        for (const CLI::App* sub : subcommands) {
          walk(sub, path.empty() ? sub->get_name() : path + " " + sub->get_name());
        }
      };
  walk(&app, "");
  return words;
}

CommandLine ParseCommandLine(const std::vector<std::string>& args) {
  if (auto line = WhatIfLine(args)) return std::move(*line);
  if (IsSibling(args)) return SiblingLine(args);
  const auto d = std::make_shared<Definitions>();
  const auto finish = [&d] {
    CommandLine line = d->line;
    line.console.color = d->color == "always"  ? ColorMode::kAlways
                         : d->color == "never" ? ColorMode::kNever
                                               : ColorMode::kAuto;
    return line;
  };
  try {
    d->app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    const CLI::App* command = Deepest(d->app);
    const CLI::App* parent = command->get_parent();
    return Saying(finish(), kOk, command->help(parent == nullptr ? "" : PathOf(parent)));
  } catch (const CLI::ParseError& error) {
    const CLI::App* command = Deepest(d->app);
    return Saying(finish(), kUsage, "", UsageError(command, args, error));
  }
  CommandLine line = finish();
  if (d->version) {
    line.run = PrintVersion;
  } else if (!line.run) {
    return Saying(std::move(line), kUsage, d->app.help());
  } else {
    // Commands look at the definitions (completion does), which live as long as their closure.
    line.run = [d, run = line.run](Context& context) { return run(context); };
  }
  return line;
}

}  // namespace tutti::cli
