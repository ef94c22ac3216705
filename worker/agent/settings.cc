#include "worker/agent/settings.h"

#include <charconv>
#include <functional>
#include <system_error>
#include <utility>

#include "common/version/version.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kSlotsMax = 1 << 20;
constexpr std::size_t kNameMax = 63;

constexpr std::string_view kHelp =
    R"(tutti-worker: offers this machine's slots to a coordinator and runs gangs on it.

  --dir DIR              of this worker: keys, cache, attempts, logs
  --name NAME            unique in the cluster
  --coordinator ADDRESS  tcp://HOST:PORT
  --server-key FILE      the coordinator's public key; awaited while it is missing
  --allow-dir DIR        where to put NAME.pub, on the coordinator's machine
  --jobs-dir DIR         checkpoints of jobs
  --slots N              slots to offer
  --data-root DIR        file:///... inputs may be read below it (repeatable)
  --label KEY=VALUE      for placement (repeatable)
  --engine FILE          default: tutti-engine beside this program
  --version, --help
)";

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > kNameMax) return false;
  for (const char c : text) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alnum && (c != '.' && c != '_' && c != '-')) return false;
  }
  return text.front() != '.' && text.front() != '_' && text.front() != '-';
}

Result<fs::path> Absolute(const std::string& text) {
  std::error_code error;
  fs::path path = fs::absolute(text, error);
  if (text.empty() || error) return Fail(ErrorCode::kInvalid, "not a path", text);
  return path.lexically_normal();
}

Result<fs::path> EngineBesideThis() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return Fail(ErrnoError("cannot find", "/proc/self/exe", error.value()));
  return program.parent_path() / "tutti-engine";
}

using Setter = std::function<Status(const std::string&)>;

Setter SetPath(fs::path& path) {
  return [&path](const std::string& text) -> Status {
    TUTTI_ASSIGN_OR_RETURN(path, Absolute(text));
    return {};
  };
}

Status SetName(std::string& name, const std::string& text) {
  if (!IsName(text)) {
    return Fail(ErrorCode::kInvalid, "not a worker's name", text,
                "1 to 63 of A-Z a-z 0-9 . _ -, starting with a letter or digit");
  }
  name = text;
  return {};
}

Status SetAddress(std::string& address, const std::string& text) {
  if (!text.starts_with("tcp://") || text.rfind(':') <= 5) {
    return Fail(ErrorCode::kInvalid, "not an address", text, "tcp://HOST:PORT");
  }
  address = text;
  return {};
}

Status SetSlots(std::uint32_t& slots, const std::string& text) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, slots);
  if (error != std::errc{} || stop != end || slots == 0 || slots > kSlotsMax) {
    return Fail(ErrorCode::kInvalid, "not a number of slots", text, "a whole number from 1 up");
  }
  return {};
}

Status AddLabel(std::map<std::string, std::string>& labels, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || !IsName(text.substr(0, equals))) {
    return Fail(ErrorCode::kInvalid, "not a label", text, "KEY=VALUE, as in disk=ssd");
  }
  labels[text.substr(0, equals)] = text.substr(equals + 1);
  return {};
}

std::map<std::string, Setter> Setters(Settings& s) {
  return {
      {"--dir", SetPath(s.dir)},
      {"--name", [&s](const std::string& text) { return SetName(s.name, text); }},
      {"--coordinator", [&s](const std::string& text) { return SetAddress(s.coordinator, text); }},
      {"--server-key", SetPath(s.server_key)},
      {"--allow-dir", SetPath(s.allow_dir)},
      {"--jobs-dir", SetPath(s.jobs_dir)},
      {"--slots", [&s](const std::string& text) { return SetSlots(s.slots, text); }},
      {"--data-root",
       [&s](const std::string& text) { return SetPath(s.data_roots.emplace_back())(text); }},
      {"--label", [&s](const std::string& text) { return AddLabel(s.labels, text); }},
      {"--engine", SetPath(s.engine)},
  };
}

Status CheckComplete(const Settings& settings) {
  const std::pair<std::string_view, bool> needed[] = {
      {"--dir", !settings.dir.empty()},
      {"--name", !settings.name.empty()},
      {"--coordinator", !settings.coordinator.empty()},
      {"--server-key", !settings.server_key.empty()},
      {"--jobs-dir", !settings.jobs_dir.empty()},
      {"--slots", settings.slots > 0},
  };
  for (const auto& [flag, given] : needed) {
    if (!given) return Fail(ErrorCode::kInvalid, "is needed", std::string(flag), "see --help");
  }
  return {};
}

}  // namespace

Result<std::variant<Settings, ShowText>> ParseSettings(std::span<const std::string> arguments) {
  Settings settings;
  const auto setters = Setters(settings);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string flag = arguments[i];
    if (flag == "--help" || flag == "-h") return ShowText{std::string(kHelp)};
    if (flag == "--version") {
      return ShowText{"tutti-worker " + std::string(Version()) + " (" + std::string(Revision()) +
                      ")\n"};
    }
    std::string value;
    const std::size_t equals = flag.find('=');
    if (equals != std::string::npos) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    }
    const auto setter = setters.find(flag);
    if (setter == setters.end()) {
      return Fail(ErrorCode::kInvalid, "no such flag", flag, "see --help");
    }
    if (equals == std::string::npos) {
      if (i + 1 == arguments.size()) return Fail(ErrorCode::kInvalid, "needs a value", flag);
      value = arguments[++i];
    }
    if (Status set = setter->second(value); !set) {
      Error error = std::move(set).error();
      error.message += error.where.empty() ? "" : " '" + error.where + "'";
      error.where = flag;
      return Fail(std::move(error));
    }
  }
  TUTTI_RETURN_IF_ERROR(CheckComplete(settings));
  if (settings.engine.empty()) {
    TUTTI_ASSIGN_OR_RETURN(settings.engine, EngineBesideThis());
  }
  return settings;
}

}  // namespace tutti::agent
