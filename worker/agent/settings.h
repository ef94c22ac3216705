// What tutti-worker is told: a typed struct, read once at start by common/config.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/join/join_string.h"

namespace tutti::agent {

struct Settings {
  std::filesystem::path dir;  // of this worker: DATA/workers/NAME
  std::string name;           // unique in the cluster
  std::string coordinator;    // tcp://HOST:PORT
  std::filesystem::path server_key;
  std::optional<JoinString> join;   // to enrol with, before anything else
  std::filesystem::path allow_dir;  // empty: somebody else allows this worker's key
  // Checkpoints: the coordinator's own folder, or one of this worker's (default: dir/jobs).
  std::filesystem::path jobs_dir;
  std::string address;  // for the gang's other machines; "": of the route to the coordinator
  std::uint32_t slots = 0;
  std::vector<std::filesystem::path> data_roots;  // file:///… inputs are read below these only
  std::filesystem::path engine;                   // default: tutti-engine beside this program
  std::map<std::string, std::string> labels;
  std::int64_t cache_max_bytes = 0;
};

struct ShowText {  // --help, --version, --print-config
  std::string text;
};

// `arguments` without the program's name. A directory that was joined brings its options along; the
// command line wins. Paths come back absolute. kInvalid names the option.
Result<std::variant<Settings, ShowText>> ParseSettings(std::span<const std::string> arguments);

}  // namespace tutti::agent
