#include "jobs/cli/usage_error.h"

#include <algorithm>
#include <optional>
#include <regex>

#include "jobs/spec/suggest.h"

namespace tutti::cli {
namespace {

std::vector<std::string> CommandsBelow(const CLI::App* command) {
  std::vector<std::string> names;
  for (const CLI::App* sub : command->get_subcommands(nullptr)) names.push_back(sub->get_name());
  return names;
}

std::vector<std::string> OptionsOf(const CLI::App* command) {
  std::vector<std::string> names;
  for (const CLI::App* at = command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string NearestOf(const std::string& word, const std::vector<std::string>& names) {
  return std::string(
      spec::Nearest(word, std::vector<std::string_view>(names.begin(), names.end())));
}

// Words that are no options, behind those that led to `command`.
std::vector<std::string> WordsBehind(const CLI::App* command,
                                     const std::vector<std::string>& args) {
  std::vector<std::string> path;
  for (const CLI::App* at = command; at->get_parent() != nullptr; at = at->get_parent()) {
    path.insert(path.begin(), at->get_name());
  }
  std::vector<std::string> words;
  std::size_t passed = 0;
  for (const std::string& word : args) {
    if (passed < path.size()) {
      passed += word == path[passed] ? 1 : 0;
    } else if (!word.starts_with("-")) {
      words.push_back(word);
    }
  }
  return words;
}

// A word where a command has to stand.
std::optional<Error> NoCommand(const CLI::App* command, const std::vector<std::string>& args) {
  const std::vector<std::string> known = CommandsBelow(command);
  if (known.empty()) return std::nullopt;
  const std::string path = PathOf(command);
  for (const std::string& word : WordsBehind(command, args)) {
    const std::string nearest = NearestOf(word, known);
    return Error{ErrorCode::kInvalid, spec::Quoted(word) + " is no command of `" + path + "`", path,
                 nearest.empty() ? "" : "did you mean `" + path + " " + nearest + "`? "};
  }
  if (command->get_parent() == nullptr) return std::nullopt;
  return Error{ErrorCode::kInvalid, "which of its commands? " + Listed(known), path};
}

// An option that nobody knows.
std::optional<Error> NoOption(const CLI::App* command, const std::vector<std::string>& args) {
  const std::vector<std::string> known = OptionsOf(command);
  for (const std::string& word : args) {
    const std::string name = word.substr(0, word.find('='));
    if (!name.starts_with("--") || name.size() < 3) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string nearest = NearestOf(name, known);
    return Error{ErrorCode::kInvalid, "there is no option " + name, PathOf(command),
                 nearest.empty() ? "" : "did you mean " + nearest + "? "};
  }
  return std::nullopt;
}

// "--state: gone not in {queued,running}" and "--ranks: Value 0 not in range 0.000000 to 1797…" for
// people.
Error BadValue(const CLI::App* command, const std::string& said) {
  Error error{ErrorCode::kInvalid, said, PathOf(command)};
  std::smatch part;
  static const std::regex kNotIn(R"((.+): (.*) not in \{(.*)\})");
  static const std::regex kRange(R"((.+): Value (.*) not in range (\S+) to (\S+))");
  if (std::regex_match(said, part, kNotIn)) {
    std::vector<std::string> known;
    const std::string list = part[3];
    for (std::size_t from = 0; from <= list.size();) {
      const std::size_t end = std::min(list.find(',', from), list.size());
      known.push_back(list.substr(from, end - from));
      from = end + 1;
    }
    error.message = part[1].str() + " cannot be " + spec::Quoted(part[2].str()) +
                    "; it is one of " + Listed(known);
    const std::string nearest = NearestOf(part[2], known);
    if (!nearest.empty()) error.hint = "did you mean " + nearest + "? ";
  } else if (std::regex_match(said, part, kRange)) {
    const bool bounded = part[4].str().find('.') == std::string::npos;
    error.message = part[1].str() + " cannot be " + spec::Quoted(part[2].str()) + ": ";
    error.message += bounded ? "it goes from " + part[3].str() + " to " + part[4].str()
                     : part[2].str() == "0" ? "it has to be above 0"
                                            : "it has to be a number that is not negative";
  }
  return error;
}

}  // namespace

std::string PathOf(const CLI::App* command) {
  std::string path = command->get_name();
  for (const CLI::App* at = command->get_parent(); at != nullptr; at = at->get_parent()) {
    path = at->get_name() + " " + path;
  }
  return path;
}

Error UsageError(const CLI::App* command, const std::vector<std::string>& args,
                 const CLI::ParseError& said) {
  const std::string path = PathOf(command);
  const auto kind = static_cast<CLI::ExitCodes>(said.get_exit_code());
  std::optional<Error> error;
  if (kind == CLI::ExitCodes::ExtrasError) {
    error = NoOption(command, args);
    if (!error) error = NoCommand(command, args);
    if (!error) {
      error = Error{ErrorCode::kInvalid,
                    "that is more than it takes: " + Listed(WordsBehind(command, args)), path};
    }
  } else if (kind == CLI::ExitCodes::RequiredError && !CommandsBelow(command).empty()) {
    error = NoCommand(command, args);
  } else if (kind == CLI::ExitCodes::ValidationError) {
    error = BadValue(command, said.what());
  }
  if (!error) error = Error{ErrorCode::kInvalid, said.what(), path};
  error->hint += "see `" + path + " --help`";
  return *std::move(error);
}

}  // namespace tutti::cli
