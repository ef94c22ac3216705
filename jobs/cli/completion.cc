#include "jobs/cli/completion.h"

#include "jobs/cli/commands.h"

namespace tutti::cli {
namespace {

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// `case` branches from a command's path to what may follow it, in the syntax bash and zsh share.
std::string Branches(const std::vector<CommandWords>& words) {
  std::string out;
  for (const CommandWords& command : words) {
    out += "    '" + command.path + "') words='" + Joined(command.subcommands) + "'; options='" +
           Joined(command.options) + "'; kind='" +
           (command.takes_job     ? "job"
            : command.takes_model ? "model"
                                  : "") +
           "' ;;\n";
  }
  return out;
}

constexpr const char* kBash = R"(
_tutti() {
  local path='' next word i words options kind
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    _tutti_at "$path"
    next=" $words "
    [[ $word != -* && $next == *" $word "* ]] && path="${path:+$path }$word"
  done
  _tutti_at "$path"
  word=${COMP_WORDS[COMP_CWORD]}
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
    return
  fi
  case $kind in
    job) words=$(tutti ps --all -q 2>/dev/null) ;;
    model) words=$(tutti model list -q 2>/dev/null) ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _tutti tutti
)";

constexpr const char* kZsh = R"(
_tutti() {
  local path_so_far='' word options kind
  local -a typed
  typed=("${(@)words[2,CURRENT-1]}")
  local words
  for word in $typed; do
    _tutti_at "$path_so_far"
    [[ $word != -* && " $words " == *" $word "* ]] && path_so_far="${path_so_far:+$path_so_far }$word"
  done
  _tutti_at "$path_so_far"
  case $kind in
    job) words=$(tutti ps --all -q 2>/dev/null) ;;
    model) words=$(tutti model list -q 2>/dev/null) ;;
  esac
  compadd -- ${=words}
  compadd -- ${=options}
  [[ -z $words ]] && _files
}
compdef _tutti tutti
)";

}  // namespace

// The shared function sets words, options and kind of its caller.
std::string BashCompletion(const std::vector<CommandWords>& words) {
  return "# bash completion of tutti: source <(tutti completion bash)\n_tutti_at() {\n  case "
         "\"$1\" "
         "in\n" +
         Branches(words) + "    *) words=''; options=''; kind='' ;;\n  esac\n}\n" + (kBash + 1);
}

std::string ZshCompletion(const std::vector<CommandWords>& words) {
  return "#compdef tutti\n# zsh completion of tutti: source <(tutti completion zsh)\n_tutti_at() "
         "{\n"
         "  case \"$1\" in\n" +
         Branches(words) + "    *) words=''; options=''; kind='' ;;\n  esac\n}\n" + (kZsh + 1);
}

std::string FishCompletion(const std::vector<CommandWords>& words) {
  std::string out = "# fish completion of tutti: tutti completion fish | source\n";
  const auto condition = [](const std::string& path) {
    if (path.empty()) return std::string("__fish_use_subcommand");
    std::string text = "__fish_seen_subcommand_from ";
    const std::size_t space = path.find(' ');
    if (space == std::string::npos) return text + path;
    return text + path.substr(0, space) + "; and " + text + path.substr(space + 1);
  };
  for (const CommandWords& command : words) {
    const std::string start = "complete -c tutti -n '" + condition(command.path) + "'";
    for (const std::string& word : command.subcommands) out += start + " -f -a " + word + "\n";
    for (const std::string& option : command.options) {
      if (option.starts_with("--")) out += start + " -l " + option.substr(2) + "\n";
    }
    if (command.takes_job) out += start + " -f -a '(tutti ps --all -q 2>/dev/null)'\n";
    if (command.takes_model) out += start + " -f -a '(tutti model list -q 2>/dev/null)'\n";
  }
  return out;
}

int Completion(Context& context, const std::string& shell, const std::vector<CommandWords>& words) {
  const std::string script = shell == "bash"  ? BashCompletion(words)
                             : shell == "zsh" ? ZshCompletion(words)
                                              : FishCompletion(words);
  context.console.OutRaw(script);
  return 0;
}

}  // namespace tutti::cli
