#include "common/config/flags.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/check.h"
#include "common/file/file.h"

namespace tutti::config {
namespace {

using nlohmann::json;

constexpr Bytes kConfigMax{1 << 20};

Unexpected Bad(std::string message, std::string where, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, std::move(message), std::move(where), std::move(hint));
}

// Edits (insert, remove, replace a character) from one word to another.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string DidYouMean(const Program& program, std::string_view name) {
  std::string best = "see --help";
  std::size_t distance = 3;
  for (const Option& option : program.options) {
    const std::size_t d = Distance(name.substr(0, 64), option.name);
    if (d < distance) {
      distance = d;
      best = "did you mean --" + option.name + "?";
    }
  }
  return best;
}

const Option* Find(const Program& program, std::string_view name) {
  for (const Option& option : program.options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

template <typename Number>
std::optional<Number> ToNumber(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Writes one text through the option's pointer.
struct Setter {
  const Option& option;
  std::string_view text;
  const std::string& where;

  Status operator()(bool* value) const {
    if (text != "true" && text != "false") return Bad("must be true or false", where);
    *value = text == "true";
    return {};
  }
  Status operator()(std::int64_t* value) const {
    const auto number = ToNumber<std::int64_t>(text);
    if (!number) return Bad("'" + std::string(text) + "' is not a whole number", where);
    if (*number < option.min || *number > option.max) {
      return Bad(internal::Concat(*number, " is out of range"), where,
                 internal::Concat("between ", option.min, " and ", option.max));
    }
    *value = *number;
    return {};
  }
  Status operator()(double* value) const {
    const auto number = ToNumber<double>(text);
    if (!number) return Bad("'" + std::string(text) + "' is not a number", where);
    *value = *number;
    return {};
  }
  Status operator()(std::string* value) const {
    *value = text;
    return {};
  }
  Status operator()(std::filesystem::path* value) const {
    if (text.empty()) return Bad("a path must not be empty", where);
    *value = std::filesystem::path(text);
    return {};
  }
  Status operator()(Duration* value) const {
    const auto duration = ParseDuration(text);
    if (!duration) {
      return Bad("'" + std::string(text) + "' is not a duration", where, "like 250ms, 90s or 6h");
    }
    *value = *duration;
    return {};
  }
  Status operator()(Bytes* value) const {
    const auto bytes = ParseBytes(text);
    if (!bytes) {
      return Bad("'" + std::string(text) + "' is not a size", where, "like 512MiB or 4GiB");
    }
    *value = *bytes;
    return {};
  }
  Status operator()(std::vector<std::string>* value) const {
    value->emplace_back(text);
    return {};
  }
};

Status Set(const Option& option, std::string_view text, const std::string& where) {
  return std::visit(Setter{option, text, where}, option.target);
}

bool IsList(const Option& option) {
  return std::holds_alternative<std::vector<std::string>*>(option.target);
}

Status SetFromJson(const Option& option, const json& value, const std::string& where) {
  if (IsList(option)) {
    if (!value.is_array()) return Bad("must be a list of texts", where);
    std::get<std::vector<std::string>*>(option.target)->clear();
    for (const json& item : value) {
      if (!item.is_string()) return Bad("must be a list of texts", where);
      TUTTI_RETURN_IF_ERROR(Set(option, item.get<std::string>(), where));
    }
    return {};
  }
  if (value.is_string()) return Set(option, value.get<std::string>(), where);
  if (value.is_boolean() || value.is_number()) return Set(option, value.dump(), where);
  return Bad("must be a text, a number, true or false", where);
}

Status ReadConfigFile(const Program& program, const std::string& path,
                      std::set<std::string>& given) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kConfigMax));
  json object;
  try {
    object = json::parse(text);
  } catch (const json::exception& error) {
    return Bad(std::string("is not JSON: ") + error.what(), path);
  }
  if (!object.is_object()) return Bad("must hold one JSON object", path);
  for (const auto& [name, value] : object.items()) {
    const Option* option = Find(program, name);
    if (option == nullptr) {
      return Bad("unknown option '" + name + "'", path, DidYouMean(program, name));
    }
    TUTTI_RETURN_IF_ERROR(SetFromJson(*option, value, path + ": " + name));
    given.insert(name);
  }
  return {};
}

struct JsonOf {
  json operator()(const std::filesystem::path* value) const { return value->string(); }
  json operator()(const Duration* value) const {
    return value->count() == 0 ? "0s" : FormatDuration(*value);
  }
  json operator()(const Bytes* value) const { return std::to_string(value->count); }
  template <typename T>
  json operator()(const T* value) const {
    return *value;
  }
};

std::string PrintConfig(const Program& program) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Option& option : program.options) {
    json value = std::visit(JsonOf{}, option.target);
    if (value == "") continue;  // not set
    object[option.name] = std::move(value);
  }
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

struct PlaceholderOf {
  const char* operator()(const bool*) const { return ""; }
  const char* operator()(const std::int64_t*) const { return " N"; }
  const char* operator()(const double*) const { return " X"; }
  const char* operator()(const std::string*) const { return " TEXT"; }
  const char* operator()(const std::filesystem::path*) const { return " PATH"; }
  const char* operator()(const Duration*) const { return " TIME"; }
  const char* operator()(const Bytes*) const { return " SIZE"; }
  const char* operator()(const std::vector<std::string>*) const { return " TEXT …"; }
};

std::string Help(const Program& program) {
  std::string out = "Usage: " + program.name + " [OPTIONS]\n" + program.summary + "\n\n";
  const auto row = [&](const std::string& left, const std::string& help) {
    out += "  " + left + std::string(left.size() < 26 ? 26 - left.size() : 1, ' ') + help + "\n";
  };
  for (const Option& option : program.options) {
    std::string help = option.help;
    const std::string value = std::visit(JsonOf{}, option.target).dump();
    if (option.required) {
      help += " (required)";
    } else if (value != "\"\"" && value != "[]" && value != "false") {
      help += " (default " + value + ")";
    }
    row("--" + option.name + std::visit(PlaceholderOf{}, option.target), help);
  }
  row("--config FILE", "a JSON object of these options; the command line wins");
  row("--print-config", "print what all of it comes to, as JSON, and exit");
  row("--version", "print the version and exit");
  row("--help", "print this and exit");
  return out;
}

struct Word {
  std::string name;
  std::string value;
};
struct CommandLine {
  std::vector<Word> words;
  std::string config_file;
  std::optional<std::string> print;  // of --help, --version
  bool print_config = false;
};

// Cuts the arguments into options and values; values are not looked at yet.
Result<CommandLine> Cut(const Program& program, std::span<const std::string> arguments) {
  CommandLine line;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.starts_with("--") || word.size() == 2) {
      return Bad("'" + word + "' is not an option", {}, "options start with --; see --help");
    }
    const std::size_t equals = word.find('=');
    const bool has_value = equals != std::string::npos;
    const std::string name = word.substr(2, has_value ? equals - 2 : std::string::npos);
    if (word == "--help") {
      line.print = Help(program);
      return line;
    }
    if (word == "--version") {
      line.print = program.name + " " + program.version + "\n";
      return line;
    }
    if (word == "--print-config") {
      line.print_config = true;
      continue;
    }
    const Option* option = Find(program, name);
    if (option == nullptr && name != "config") {
      return Bad("unknown option '--" + name + "'", {}, DidYouMean(program, name));
    }
    std::string value = has_value ? word.substr(equals + 1) : std::string();
    if (!has_value) {
      if (option != nullptr && std::holds_alternative<bool*>(option->target)) {
        value = "true";
      } else if (i + 1 == arguments.size()) {
        return Bad("needs a value", "--" + name);
      } else {
        value = arguments[++i];
      }
    }
    if (name == "config") {
      if (!line.config_file.empty()) return Bad("is given twice", "--config");
      line.config_file = value;
    } else {
      line.words.push_back({name, value});
    }
  }
  return line;
}

}  // namespace

Result<std::optional<std::string>> Parse(const Program& program,
                                         std::span<const std::string> arguments) {
  TUTTI_ASSIGN_OR_RETURN(CommandLine line, Cut(program, arguments));
  if (line.print) return line.print;
  std::set<std::string> given;
  if (!line.config_file.empty()) {
    TUTTI_RETURN_IF_ERROR(ReadConfigFile(program, line.config_file, given));
  }
  std::set<std::string> on_command_line;
  for (const Word& word : line.words) {
    const Option& option = *Find(program, word.name);
    const bool first = on_command_line.insert(word.name).second;
    if (!first && !IsList(option)) return Bad("is given twice", "--" + word.name);
    if (first && IsList(option)) std::get<std::vector<std::string>*>(option.target)->clear();
    TUTTI_RETURN_IF_ERROR(Set(option, word.value, "--" + word.name));
    given.insert(word.name);
  }
  if (line.print_config) return PrintConfig(program);
  for (const Option& option : program.options) {
    if (option.required && !given.contains(option.name)) {
      return Bad("is required", "--" + option.name, option.help);
    }
  }
  return std::nullopt;
}

Result<std::optional<std::string>> Parse(const Program& program, int argc,
                                         const char* const* argv) {
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  return Parse(program, arguments);
}

Result<HostPort> ParseHostPort(std::string_view text, std::string where) {
  const std::size_t colon = text.rfind(':');
  const auto bad = [&] {
    return Bad("'" + std::string(text) + "' is not HOST:PORT", where, "like 127.0.0.1:7717");
  };
  if (colon == std::string_view::npos || colon == 0) return bad();
  const auto port = ToNumber<std::uint16_t>(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad();
  }
  if (!port || host.empty()) return bad();
  return HostPort{std::string(host), *port};
}

}  // namespace tutti::config
