// Completion scripts for shells, made from the command line's own tree. Pure.
#pragma once

#include <string>
#include <vector>

namespace tutti::cli {

// What may follow one command.
struct CommandWords {
  std::string path;  // "", "model", "model show"
  std::vector<std::string> subcommands{};
  std::vector<std::string> options{};  // "--json"
  bool takes_job = false;              // ids of jobs
  bool takes_model = false;            // ids of models
};

std::string BashCompletion(const std::vector<CommandWords>& words);
std::string ZshCompletion(const std::vector<CommandWords>& words);
std::string FishCompletion(const std::vector<CommandWords>& words);

}  // namespace tutti::cli
