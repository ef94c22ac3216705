#include "worker/agent/settings.h"

#include <system_error>
#include <utility>

#include "common/config/flags.h"
#include "common/version/version.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSlotsMax = 1 << 20;
constexpr std::size_t kNameMax = 63;

// Options as they are written, before they are made into Settings.
struct Written {
  fs::path dir, server_key, allow_dir, jobs_dir, engine;
  std::string name, coordinator;
  std::int64_t slots = 0;
  std::vector<std::string> data_roots, labels;
  Bytes cache_max{std::int64_t{100} << 30};
};

config::Program Describe(Written& w) {
  return {.name = "tutti-worker",
          .summary = "Offers this machine's slots to a coordinator and runs gangs on it.",
          .version = std::string(Version()) + " (" + std::string(Revision()) + ")",
          .options = {
              {"dir", &w.dir, "of this worker: keys, cache, attempts, logs", true},
              {"name", &w.name, "unique in the cluster", true},
              {"coordinator", &w.coordinator, "tcp://HOST:PORT", true},
              {"server-key", &w.server_key, "the coordinator's public key; awaited while missing",
               true},
              {"allow-dir", &w.allow_dir, "where to put NAME.pub, on the coordinator's machine"},
              {"jobs-dir", &w.jobs_dir, "checkpoints of jobs", true},
              {"slots", &w.slots, "slots to offer", true, 1, kSlotsMax},
              {"data-root", &w.data_roots, "file:///... inputs may be read below it (repeatable)"},
              {"label", &w.labels, "KEY=VALUE, for placement (repeatable)"},
              {"engine", &w.engine, "default: tutti-engine beside this program"},
              {"cache-max", &w.cache_max, "how large the cache of inputs may grow"},
          }};
}

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > kNameMax) return false;
  for (const char c : text) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alnum && c != '.' && c != '_' && c != '-') return false;
  }
  return text.front() != '.' && text.front() != '_' && text.front() != '-';
}

Result<fs::path> Absolute(const fs::path& path, const std::string& option) {
  if (path.empty()) return path;
  std::error_code error;
  fs::path absolute = fs::absolute(path, error);
  if (error) return Fail(ErrorCode::kInvalid, "not a path: " + path.string(), option);
  return absolute.lexically_normal();
}

Result<fs::path> EngineBesideThis() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return Fail(ErrnoError("cannot find", "/proc/self/exe", error.value()));
  return program.parent_path() / "tutti-engine";
}

Status SetPaths(const Written& written, Settings& settings) {
  TUTTI_ASSIGN_OR_RETURN(settings.dir, Absolute(written.dir, "--dir"));
  TUTTI_ASSIGN_OR_RETURN(settings.server_key, Absolute(written.server_key, "--server-key"));
  TUTTI_ASSIGN_OR_RETURN(settings.allow_dir, Absolute(written.allow_dir, "--allow-dir"));
  TUTTI_ASSIGN_OR_RETURN(settings.jobs_dir, Absolute(written.jobs_dir, "--jobs-dir"));
  for (const std::string& root : written.data_roots) {
    TUTTI_ASSIGN_OR_RETURN(settings.data_roots.emplace_back(), Absolute(root, "--data-root"));
  }
  if (written.engine.empty()) {
    TUTTI_ASSIGN_OR_RETURN(settings.engine, EngineBesideThis());
  } else {
    TUTTI_ASSIGN_OR_RETURN(settings.engine, Absolute(written.engine, "--engine"));
  }
  return {};
}

}  // namespace

Result<std::variant<Settings, ShowText>> ParseSettings(std::span<const std::string> arguments) {
  Written written;
  TUTTI_ASSIGN_OR_RETURN(auto text, config::Parse(Describe(written), arguments));
  if (text) return ShowText{std::move(*text)};
  Settings settings;
  TUTTI_RETURN_IF_ERROR(SetPaths(written, settings));
  if (!IsName(written.name)) {
    return Fail(ErrorCode::kInvalid, "not a worker's name: " + written.name, "--name",
                "1 to 63 of A-Z a-z 0-9 . _ -, starting with a letter or digit");
  }
  constexpr std::string_view kTcp = "tcp://";
  if (!written.coordinator.starts_with(kTcp)) {
    return Fail(ErrorCode::kInvalid, "not an address: " + written.coordinator, "--coordinator",
                "tcp://HOST:PORT");
  }
  TUTTI_RETURN_IF_ERROR(
      config::ParseHostPort(written.coordinator.substr(kTcp.size()), "--coordinator"));
  for (const std::string& label : written.labels) {
    const std::size_t equals = label.find('=');
    if (equals == std::string::npos || !IsName(label.substr(0, equals))) {
      return Fail(ErrorCode::kInvalid, "not a label: " + label, "--label",
                  "KEY=VALUE, as in disk=ssd");
    }
    settings.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  settings.name = written.name;
  settings.coordinator = written.coordinator;
  settings.slots = static_cast<std::uint32_t>(written.slots);
  settings.cache_max_bytes = written.cache_max.count;
  return settings;
}

}  // namespace tutti::agent
