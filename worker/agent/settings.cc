#include "worker/agent/settings.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <system_error>
#include <utility>

#include "common/config/flags.h"
#include "common/version/version.h"
#include "jobs/spec/name.h"
#include "worker/agent/join.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSlotsMax = 1 << 20;

// Options as they are written, before they are made into Settings.
struct Written {
  fs::path dir, server_key, allow_dir, jobs_dir, engine;
  std::string name, coordinator, address, join;
  std::int64_t slots = 0;  // 0: as many as there are cores
  std::vector<std::string> data_roots, labels;
  Bytes cache_max{std::int64_t{100} << 30};
};

config::Program Describe(Written& w) {
  return {
      .name = "tutti-worker",
      .summary =
          "Offers this machine's slots to a coordinator and runs gangs on it.\n"
          "  The first time: tutti worker --join STRING (of `tutti worker token`, on the\n"
          "  coordinator's machine); from then on: tutti worker --dir DIR",
      .version = std::string(Version()) + " (" + std::string(Revision()) + ")",
      .options = {
          {"join", &w.join, "the string to join with, once; - reads it from stdin"},
          {"dir", &w.dir,
           "of this worker: keys, cache, attempts, logs (none: ~/.local/share/tutti-worker)"},
          {"name", &w.name, "unique in the cluster (none: this machine's)"},
          {"slots", &w.slots, "slots to offer; 0: as many as there are cores", false, 0, kSlotsMax},
          {"address", &w.address,
           "of this machine, at which others reach its ranks (none: of the route there)"},
          {"data-root", &w.data_roots, "file:///... inputs may be read below it (repeatable)"},
          {"label", &w.labels, "KEY=VALUE, for placement (repeatable)"},
          {"cache-max", &w.cache_max,
           "how large the cache of inputs may grow; a quarter of it for tokenised data"},
          {"engine", &w.engine, "default: tutti-engine beside this program"},
          {"coordinator", &w.coordinator, "tcp://HOST:PORT, without --join"},
          {"server-key", &w.server_key,
           "the coordinator's public key, without --join; awaited while missing"},
          {"allow-dir", &w.allow_dir, "where to put NAME.pub, on the coordinator's machine"},
          {"jobs-dir", &w.jobs_dir,
           "checkpoints of jobs: the coordinator's folder, if it is on this machine"},
      }};
}

std::string NameOfMachine() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::uint32_t Cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

fs::path DefaultDir() {
  const char* data = std::getenv("XDG_DATA_HOME");
  if (data != nullptr && data[0] == '/') return fs::path(data) / "tutti-worker";
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".local/share/tutti-worker";
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
  TUTTI_ASSIGN_OR_RETURN(settings.dir,
                         Absolute(written.dir.empty() ? DefaultDir() : written.dir, "--dir"));
  TUTTI_ASSIGN_OR_RETURN(settings.server_key, Absolute(written.server_key, "--server-key"));
  TUTTI_ASSIGN_OR_RETURN(settings.allow_dir, Absolute(written.allow_dir, "--allow-dir"));
  TUTTI_ASSIGN_OR_RETURN(settings.jobs_dir, Absolute(written.jobs_dir, "--jobs-dir"));
  if (settings.jobs_dir.empty()) settings.jobs_dir = settings.dir / "jobs";
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

// Where the coordinator is: as the join string says, or as the options do.
Status SetCoordinator(const Written& written, Settings& settings) {
  if (!written.join.empty()) {
    std::string text = written.join;
    if (text == "-") text.assign(std::istreambuf_iterator<char>(std::cin), {});
    TUTTI_ASSIGN_OR_RETURN(settings.join, ParseJoin(text));
    settings.coordinator = settings.join->zmq;
    settings.server_key = JoinedKey(settings.dir);
    return {};
  }
  if (written.coordinator.empty()) {
    return Fail(ErrorCode::kInvalid, "this worker has not joined a cluster yet",
                settings.dir.string(),
                "tutti worker --join STRING, with a string of `tutti worker token` on the "
                "coordinator's machine; or give the --dir that has joined");
  }
  if (written.server_key.empty()) {
    return Fail(ErrorCode::kInvalid, "is required", "--server-key",
                "the coordinator's DIR/coordinator/curve.pub");
  }
  settings.coordinator = written.coordinator;
  return {};
}

Status SetName(const Written& written, Settings& settings) {
  settings.name = written.name;
  if (settings.name.empty() && settings.join) settings.name = settings.join->name;
  if (settings.name.empty()) settings.name = NameOfMachine();
  if (spec::IsName(settings.name)) return {};
  return Fail(ErrorCode::kInvalid, "not a worker's name: " + settings.name, "--name",
              "1 to 63 of A-Z a-z 0-9 . _ -, starting with a letter or digit");
}

Status SetLabels(const Written& written, Settings& settings) {
  for (const std::string& label : written.labels) {
    const std::size_t equals = label.find('=');
    if (equals == std::string::npos || !spec::IsName(label.substr(0, equals))) {
      return Fail(ErrorCode::kInvalid, "not a label: " + label, "--label",
                  "KEY=VALUE, as in disk=ssd");
    }
    settings.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return {};
}

// The arguments, and before them what the directory was joined with.
Result<std::vector<std::string>> WithJoined(std::span<const std::string> arguments,
                                            const Written& written) {
  std::vector<std::string> words(arguments.begin(), arguments.end());
  const bool own_config = std::ranges::any_of(
      words, [](const std::string& word) { return word.starts_with("--config"); });
  if (!written.join.empty() || !written.coordinator.empty() || own_config) return words;
  const fs::path file = JoinedFile(written.dir.empty() ? DefaultDir() : written.dir);
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return words;
  words.insert(words.begin(), {"--config", file.string()});
  return words;
}

}  // namespace

Result<std::variant<Settings, ShowText>> ParseSettings(std::span<const std::string> arguments) {
  Written first;
  TUTTI_ASSIGN_OR_RETURN(auto text, config::Parse(Describe(first), arguments));
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> words, WithJoined(arguments, first));
  Written written;
  TUTTI_ASSIGN_OR_RETURN(text, config::Parse(Describe(written), words));
  if (text) return ShowText{std::move(*text)};
  Settings settings;
  TUTTI_RETURN_IF_ERROR(SetPaths(written, settings));
  TUTTI_RETURN_IF_ERROR(SetCoordinator(written, settings));
  TUTTI_RETURN_IF_ERROR(SetName(written, settings));
  constexpr std::string_view kTcp = "tcp://";
  if (!settings.coordinator.starts_with(kTcp)) {
    return Fail(ErrorCode::kInvalid, "not an address: " + settings.coordinator, "--coordinator",
                "tcp://HOST:PORT");
  }
  TUTTI_RETURN_IF_ERROR(
      config::ParseHostPort(settings.coordinator.substr(kTcp.size()), "--coordinator"));
  TUTTI_RETURN_IF_ERROR(SetLabels(written, settings));
  settings.address = written.address;
  settings.slots = written.slots == 0 ? Cores() : static_cast<std::uint32_t>(written.slots);
  settings.cache_max_bytes = written.cache_max.count;
  return settings;
}

}  // namespace tutti::agent
