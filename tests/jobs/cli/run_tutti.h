// Runs `tutti` inside a test: words, environment and stdin in, exit code and both streams out.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "jobs/cli/app.h"

namespace tutti::cli {

struct Ran {
  int exit = -1;
  std::string out;
  std::string err;

  nlohmann::json Json() const { return nlohmann::json::parse(out, nullptr, false); }
  // Each line of stdout as JSON.
  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    std::istringstream in(out);
    for (std::string line; std::getline(in, line);) {
      lines.push_back(nlohmann::json::parse(line, nullptr, false));
    }
    return lines;
  }
};

struct RunWith {
  std::map<std::string, std::string> env{{"TUTTI_TOKEN", "secret"}};
  std::string input{};
  bool terminal = false;
  int width = 80;
  std::filesystem::path bin_dir = "/nonexistent";
};

inline Ran RunTutti(const std::vector<std::string>& args, const RunWith& with = {}) {
  Ran ran;
  std::istringstream in(with.input);
  Streams streams{.out = [&](std::string_view text) { ran.out += text; },
                  .err = [&](std::string_view text) { ran.err += text; },
                  .in = &in,
                  .in_terminal = false,
                  .out_terminal = with.terminal,
                  .err_terminal = with.terminal,
                  .width = [&] { return with.width; }};
  const client::Environment env = [&](const std::string& name) -> std::optional<std::string> {
    const auto it = with.env.find(name);
    if (it == with.env.end()) return std::nullopt;
    return it->second;
  };
  ran.exit = RunApp(args, std::move(streams), env, with.bin_dir);
  return ran;
}

}  // namespace tutti::cli
