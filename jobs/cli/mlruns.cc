#include "jobs/cli/mlruns.h"

#include <unistd.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "common/httpclient/http.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kKeyMax = 250;
constexpr std::size_t kParamMax = 6000;  // MLflow's MAX_PARAM_VAL_LENGTH
constexpr std::size_t kExperimentDigits = 15;

// YAML reads JSON's strings.
std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// A file's name that MLflow accepts as a key: letters, digits, '_', '-', '.'.
std::string KeyOf(std::string_view name) {
  std::string key;
  for (const char c : name.substr(0, kKeyMax)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
    key += plain ? c : '_';
  }
  if (key.empty() || key.front() == '.') key.insert(0, "_");
  return key;
}

// The shortest text that is this number again; as Python reads those that are none.
std::string Text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return std::string(text, end.ptr);
}

// One line: a parameter's file has no other.
std::string OneLineOf(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  if (text.size() > kParamMax) text.resize(kParamMax);
  return text;
}

Status Write(const fs::path& path, std::string_view text) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
  return WriteFileAtomically(path, text, {.durable = false});
}

// REQUIRES: it is absolute.
std::string UriOf(const fs::path& path) {
  std::string uri = "file://";
  for (const fs::path& part : path.relative_path()) {
    uri += "/" + httpclient::EncodeSegment(part.string());
  }
  return uri;
}

// The folder of the experiment of that name, whoever made it.
Result<std::optional<fs::path>> FindExperiment(const fs::path& directory, const std::string& name) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path meta = entry->path() / "meta.yaml";
    std::error_code none;
    if (!fs::is_regular_file(meta, none)) continue;
    TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(meta, Bytes{1 << 20}));
    for (const std::string& as : {name, Quoted(name), "'" + name + "'"}) {
      if (("\n" + text).find("\nname: " + as + "\n") != std::string::npos) return entry->path();
    }
  }
  return std::nullopt;
}

Result<fs::path> Experiment(const fs::path& directory, const std::string& name, WallTime now) {
  TUTTI_ASSIGN_OR_RETURN(const auto known, FindExperiment(directory, name));
  if (known) return *known;
  // MLflow's ids are digits. Of the name: two people make the same one.
  std::string id;
  for (const std::uint8_t byte : Sha256Of("tutti experiment " + name).bytes) {
    if (id.size() < kExperimentDigits) id += static_cast<char>('1' + byte % 9);
  }
  const fs::path folder = directory / id;
  const std::string ms = std::to_string(now.unix_ms);
  TUTTI_RETURN_IF_ERROR(Write(folder / "meta.yaml",
                              "artifact_location: " + Quoted(UriOf(folder)) + "\ncreation_time: " +
                                  ms + "\nexperiment_id: '" + id + "'\nlast_update_time: " + ms +
                                  "\nlifecycle_stage: active\nname: " + Quoted(name) + "\n"));
  return folder;
}

std::string MetaOf(const MlflowRun& run, const fs::path& folder) {
  constexpr int kSourceJob = 2;
  std::string text = "artifact_uri: " + Quoted(UriOf(folder / "artifacts")) + "\nend_time: ";
  text += run.ended.unix_ms == 0 ? "null" : std::to_string(run.ended.unix_ms);
  text += "\nentry_point_name: ''\nexperiment_id: '" + folder.parent_path().filename().string() +
          "'\nlifecycle_stage: active\nrun_id: " + Quoted(run.id) +
          "\nrun_name: " + Quoted(run.name) + "\nrun_uuid: " + Quoted(run.id) +
          "\nsource_name: ''\nsource_type: " + std::to_string(kSourceJob) +
          "\nsource_version: ''\nstart_time: " + std::to_string(run.started.unix_ms) +
          "\nstatus: " + std::to_string(static_cast<int>(run.status)) +
          "\ntags: []\nuser_id: " + Quoted(run.user) + "\n";
  return text;
}

// Everything but meta.yaml, which makes the folder a run.
Status WriteFields(const MlflowRun& run, const fs::path& folder) {
  for (const char* each : {"params", "metrics", "tags", "artifacts"}) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(folder / each));
  }
  for (const auto& [name, value] : run.params) {
    TUTTI_RETURN_IF_ERROR(Write(folder / "params" / KeyOf(name), OneLineOf(value)));
  }
  for (const auto& [name, value] : run.tags) {
    TUTTI_RETURN_IF_ERROR(Write(folder / "tags" / KeyOf(name), value));
  }
  for (const auto& [name, points] : run.metrics) {
    std::string lines;
    for (const MlflowPoint& point : points) {
      lines += std::to_string(point.at.unix_ms) + " " + Text(point.value) + " " +
               std::to_string(point.step) + "\n";
    }
    TUTTI_RETURN_IF_ERROR(Write(folder / "metrics" / KeyOf(name), lines));
  }
  for (const auto& [name, bytes] : run.artifacts) {
    TUTTI_RETURN_IF_ERROR(Write(folder / "artifacts" / KeyOf(name), bytes));
  }
  return {};
}

}  // namespace

Result<fs::path> WriteMlflowRun(const fs::path& given, const std::string& experiment,
                                const MlflowRun& run) {
  std::error_code error;
  const fs::path directory = fs::absolute(given, error).lexically_normal();
  TUTTI_RETURN_IF_ERROR(MakeDirectories(directory));
  TUTTI_ASSIGN_OR_RETURN(const fs::path home, Experiment(directory, experiment, run.started));
  const fs::path folder = home / run.id;
  // A folder without meta.yaml is none of MLflow's: what is half written shows nowhere.
  TUTTI_RETURN_IF_ERROR(RemoveTree(folder));
  TUTTI_RETURN_IF_ERROR(WriteFields(run, folder));
  TUTTI_RETURN_IF_ERROR(Write(folder / "meta.yaml", MetaOf(run, folder)));
  return folder;
}

}  // namespace tutti::cli
