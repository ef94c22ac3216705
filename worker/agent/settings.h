// What tutti-worker is told: a typed struct, read once at start by common/config.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace tutti::agent {

struct Settings {
  std::filesystem::path dir;  // of this worker: DATA/workers/NAME
  std::string name;           // unique in the cluster
  std::string coordinator;    // tcp://HOST:PORT
  std::filesystem::path server_key;
  std::filesystem::path allow_dir;  // empty: somebody else allows this worker's key
  std::filesystem::path jobs_dir;   // checkpoints, shared by the workers of a machine
  std::uint32_t slots = 0;
  std::vector<std::filesystem::path> data_roots;  // file:///… inputs are read below these only
  std::filesystem::path engine;                   // default: tutti-engine beside this program
  std::map<std::string, std::string> labels;
  std::int64_t cache_max_bytes = 0;
};

struct ShowText {  // --help, --version, --print-config
  std::string text;
};

// `arguments` without the program's name. Paths come back absolute. kInvalid names the option.
Result<std::variant<Settings, ShowText>> ParseSettings(std::span<const std::string> arguments);

}  // namespace tutti::agent
