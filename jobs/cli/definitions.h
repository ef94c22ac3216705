// The tree of commands, defined group by group. Main thread only.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jobs/cli/command_line.h"

namespace tutti::cli {

struct Definitions {
  Definitions();

  // What `command` does when it was given.
  void On(CLI::App* command, std::function<int(Context&)> run);
  CLI::App* Add(CLI::App* parent, const char* name, const char* what, const char* group = "");
  // A command's positional that names a job (or model): completed with ids.
  void JobArgument(CLI::App* command, std::string& into);
  void ModelArgument(CLI::App* command, std::string& into);
  void ModelOrFolderArgument(CLI::App* command, std::string& into);
  std::vector<CommandWords> Words() const;

  CLI::App app{"Tutti fine-tunes Hugging Face models on a cluster.", "tutti"};
  CommandLine line;
  std::string color = "auto";
  bool version = false;
  std::vector<const CLI::App*> job_commands;
  std::vector<const CLI::App*> model_commands;
};

void DefineSubmitting(Definitions& d);
void DefineJobs(Definitions& d);
void DefineCheckpoints(Definitions& d);
void DefineModels(Definitions& d);
void DefineQueues(Definitions& d);
void DefineCluster(Definitions& d);
void DefineWebhooks(Definitions& d);
void DefineUpkeep(Definitions& d);
void DefineUnsupported(Definitions& d);

}  // namespace tutti::cli
