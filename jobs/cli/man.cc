#include "jobs/cli/man.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "common/version/version.h"
#include "jobs/cli/exit_codes.h"

namespace tutti::cli {
namespace {

// Characters beyond ASCII as groff's \[uXXXX], which every device knows.
std::string Escaped(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const std::size_t length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    if (length == 1) {
      out += text[at++];
      continue;
    }
    unsigned code = byte & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length && at + i < text.size(); ++i) {
      code = code << 6U | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
    }
    char escape[16];
    std::snprintf(escape, sizeof escape, "\\[u%04X]", code);
    out += escape;
    at += length;
  }
  return out;
}

// A line of text: nothing in it is a request, quotes and dashes are as they are typed.
std::string Roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      default:
        out += c;
    }
  }
  return Escaped(out);
}

std::string Bold(std::string_view text) { return "\\fB" + Roff(text) + "\\fR"; }

bool IsHidden(const CLI::Option& option) { return option.get_group().empty(); }

// CLI11 joins what a value is and what it may be: "WHEN:{auto,always,never}".
std::string KindOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}
std::string ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t from = type.find(":{");
  if (from == std::string::npos || type.back() != '}') return {};
  std::string list;
  for (const char c : type.substr(from + 2, type.size() - from - 3)) {
    list += c == ',' ? std::string(", ") : std::string(1, c);
  }
  return list;
}

// "SPEC", "[FILE]", "JOB ...".
std::string Positional(const CLI::Option& option) {
  std::string name = option.get_name(/*positional=*/true);
  if (KindOf(option) == "...") name += " ...";
  return option.get_required() ? name : "[" + name + "]";
}

// "-f, --follow", "--set KEY=VALUE".
std::string Tag(const CLI::Option& option) {
  std::string tag;
  const auto add = [&](const std::string& name) { tag += (tag.empty() ? "" : ", ") + Bold(name); };
  for (const std::string& name : option.get_snames()) add("-" + name);
  for (const std::string& name : option.get_lnames()) add("--" + name);
  if (option.get_expected_max() > 0 && !KindOf(option).empty()) {
    tag += " \\fI" + Roff(KindOf(option)) + "\\fR";
  }
  return tag;
}

void AddOptions(const CLI::App& command, std::string& page) {
  for (const CLI::Option* option : command.get_options()) {
    if (IsHidden(*option) || option->check_lname("help")) continue;
    page += ".TP\n";
    page += option->get_positional() ? "\\fI" + Roff(Positional(*option)) + "\\fR" : Tag(*option);
    page += "\n" + Roff(option->get_description());
    if (const std::string choices = ChoicesOf(*option); !choices.empty()) {
      page += ".\nOne of " + Roff(choices) + ".";
    }
    if (!option->get_default_str().empty()) {
      page += " (default: " + Roff(option->get_default_str()) + ")";
    }
    page += "\n";
  }
}

std::string Synopsis(const CLI::App& command, const std::string& path) {
  std::string line = Bold(path);
  bool options = false;
  for (const CLI::Option* option : command.get_options()) {
    options = options || (!option->get_positional() && !option->check_lname("help"));
  }
  if (options) line += " [\\fIoptions\\fR]";
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) line += " \\fI" + Roff(Positional(*option)) + "\\fR";
  }
  return line;
}

// A command, then those below it.
void AddCommand(const CLI::App& command, const std::string& before, std::string& page) {
  const std::string path = before + " " + command.get_name();
  const auto below = command.get_subcommands(nullptr);
  if (below.empty()) {
    page += ".SS " + Synopsis(command, path) + "\n" + Roff(command.get_description()) + ".\n";
    AddOptions(command, page);
  }
  for (const CLI::App* sub : below) AddCommand(*sub, path, page);
}

// Groups in the order in which --help has them.
std::vector<std::string> GroupsOf(const CLI::App& app) {
  std::vector<std::string> groups;
  for (const CLI::App* sub : app.get_subcommands(nullptr)) {
    const std::string& group = sub->get_group();
    if (!group.empty() && std::find(groups.begin(), groups.end(), group) == groups.end()) {
      groups.push_back(group);
    }
  }
  return groups;
}

std::string Upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return text;
}

constexpr const char* kEnvironment = R"(.SH ENVIRONMENT
.TP
.B TUTTI_DATA_DIR
The cluster's directory; default ~/.local/share/tutti.
.TP
.B TUTTI_URL\fR, \fBTUTTI_TOKEN\fR, \fBTUTTI_PIN\fR, \fBTUTTI_CA_FILE
A coordinator on another machine, a token for it, the pin of its certificate, or the authorities to believe.
.TP
.B NO_COLOR
Any value: no colours, unless \fB\-\-color always\fR is given.
.SH FILES
.TP
.I ~/.local/share/tutti/endpoint.json
Where the cluster of this directory is, and its token's file.
.TP
.I ~/.local/share/tutti/logs/
What coordinator and workers log.
.SH EXAMPLES
.nf
tutti up \-\-detach
tutti submit jobs/examples/package\-sections.yaml \-\-follow
tutti logs JOB OTHER \-f
tutti top
tutti model try package\-sections "a library for the GNOME desktop"
.fi
.SH SEE ALSO
.BR tutti\ init\ \-\-schema ,
docs/spec.md for what a job is, docs/operations.md for clusters of several machines.
)";

}  // namespace

std::string ManPage(const CLI::App& app, std::string_view version) {
  std::string page = ".\\\" Made by `tutti man`; not to be edited.\n.TH TUTTI 1 \"\" \"Tutti " +
                     Roff(version) + "\" \"User Commands\"\n.nh\n.ad l\n";
  page += ".SH NAME\ntutti \\- fine\\-tunes Hugging Face models on a cluster\n";
  page += ".SH SYNOPSIS\n" + Bold("tutti") +
          " [\\fIoptions\\fR] \\fIcommand\\fR ...\n.SH DESCRIPTION\n";
  page +=
      Roff(app.get_description()) +
      "\nCommands talk to the cluster of a data directory, or to the coordinator that\n" +
      Bold("--url") + " names. Data goes to standard output, progress and errors to standard\n" +
      "error. A job is named by its id, a prefix of it, or its name: the newest of that name.\n";
  page += ".SH OPTIONS\nThey may stand before and behind a command.\n";
  AddOptions(app, page);
  for (const std::string& group : GroupsOf(app)) {
    page += ".SH " + Upper(Roff(group)) + "\n";
    for (const CLI::App* sub : app.get_subcommands(nullptr)) {
      if (sub->get_group() == group) AddCommand(*sub, app.get_name(), page);
    }
  }
  page += ".SH EXIT STATUS\n.nf\n" + Roff(app.get_footer()) + "\n.fi\n";
  return page + kEnvironment;
}

int Man(Context& context, const CLI::App& app) {
  context.console.OutRaw(ManPage(app, Version()));
  return kOk;
}

}  // namespace tutti::cli
