#include "jobs/client/endpoint.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/file/file.h"

namespace tutti::client {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Bytes kSmallFile{64 << 10};

std::string Trimmed(std::string text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  text.erase(end == std::string::npos ? 0 : end + 1);
  return text;
}

Result<std::string> ReadToken(const fs::path& path) {
  Result<std::string> token = ReadFile(path, kSmallFile);
  if (!token) {
    return Fail(ErrorCode::kAuth, "cannot read the token: " + token.error().message, path.string(),
                "run as the user who runs `tutti up`, or set TUTTI_URL and TUTTI_TOKEN");
  }
  return Trimmed(*std::move(token));
}

std::string UpLine(const fs::path& data_dir, const EndpointOptions& options,
                   const Environment& env) {
  const bool shown = !options.data_dir.empty() || env("TUTTI_DATA_DIR").has_value();
  return shown ? "tutti up --data-dir " + data_dir.string() : "tutti up";
}

// `known`: the pin that belongs to the address, "" = none.
Status FillTrust(httpclient::Url& url, const EndpointOptions& options, const Environment& env,
                 const std::string& known) {
  if (!url.tls) return {};
  const std::optional<std::string> variable = env("TUTTI_PIN");
  const std::string pin = !options.pin.empty() ? options.pin : variable.value_or(known);
  if (!pin.empty()) {
    const char* where = !options.pin.empty() ? "--pin" : variable ? "TUTTI_PIN" : "endpoint.json";
    TUTTI_ASSIGN_OR_RETURN(url.trust.pin, tls::ParsePin(pin, where));
  }
  url.trust.ca_file = env("TUTTI_CA_FILE").value_or("");
  return {};
}

// A coordinator serves other machines by https only: http there is a slip that would show secrets.
Status CheckClear(const Endpoint& endpoint, const EndpointOptions& options) {
  if (endpoint.url.tls) return {};
  const std::string https = "write https://" + endpoint.url.ToString().substr(7);
  if (!options.pin.empty()) {
    return Fail(ErrorCode::kInvalid, "a pin is for https addresses", endpoint.url.ToString(),
                https);
  }
  if (!endpoint.token.empty() && !httpclient::IsLoopback(endpoint.url)) {
    return Fail(ErrorCode::kInvalid, "the token would go to another machine in the clear",
                endpoint.url.ToString(), https);
  }
  return {};
}

Result<Endpoint> OfUrl(const std::string& text, const EndpointOptions& options,
                       const Environment& env) {
  Endpoint endpoint;
  TUTTI_ASSIGN_OR_RETURN(endpoint.url, httpclient::ParseUrl(text));
  const std::optional<std::string> token = env("TUTTI_TOKEN");
  endpoint.token = token.value_or("");
  // The address of this machine's own cluster: its token and pin lie in the data directory.
  std::string pin;
  if (const Result<fs::path> data_dir = DataDirOf(options, env)) {
    const Result<EndpointFile> file = ReadEndpointFile(*data_dir);
    if (file && file->url == endpoint.url.ToString()) {
      pin = file->pin;
      if (!token) endpoint.token = ReadToken(file->token_file).value_or("");
    }
  }
  TUTTI_RETURN_IF_ERROR(FillTrust(endpoint.url, options, env, pin));
  TUTTI_RETURN_IF_ERROR(CheckClear(endpoint, options));
  return endpoint;
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  };
}

Result<fs::path> DataDirOf(const EndpointOptions& options, const Environment& env) {
  const auto absolute = [](const fs::path& path) {
    std::error_code error;
    fs::path out = fs::absolute(path, error).lexically_normal();
    if (!out.has_filename() && out.has_parent_path() && out != out.root_path()) {
      out = out.parent_path();  // no slash at the end
    }
    return out;
  };
  if (!options.data_dir.empty()) return absolute(options.data_dir);
  if (const auto dir = env("TUTTI_DATA_DIR")) return absolute(*dir);
  if (const auto xdg = env("XDG_DATA_HOME")) return absolute(*xdg) / "tutti";
  if (const auto home = env("HOME")) return absolute(*home) / ".local/share/tutti";
  return Fail(ErrorCode::kInvalid, "no data directory: HOME is not set", "",
              "give --data-dir DIR or set TUTTI_DATA_DIR");
}

Result<EndpointFile> ReadEndpointFile(const fs::path& data_dir) {
  const fs::path path = data_dir / "endpoint.json";
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kSmallFile));
  const json parsed = json::parse(text, nullptr, false);
  const auto string = [&](const char* key) {
    return parsed.is_object() && parsed.contains(key) && parsed[key].is_string()
               ? parsed[key].get<std::string>()
               : std::string();
  };
  const auto number = [&](const char* key) {
    return parsed.is_object() && parsed.contains(key) && parsed[key].is_number_integer()
               ? parsed[key].get<int>()
               : 0;
  };
  EndpointFile file{.url = string("url"),
                    .advertise = string("advertise"),
                    .pin = string("pin"),
                    .token_file = string("token_file"),
                    .pid = number("pid"),
                    .coordinator_pid = number("coordinator_pid"),
                    .version = string("version")};
  if (file.url.empty()) {
    return Fail(ErrorCode::kInvalid, "it names no url", path.string(),
                "remove it and run `tutti up` again");
  }
  return file;
}

Result<Endpoint> FindEndpoint(const EndpointOptions& options, const Environment& env) {
  if (!options.url.empty()) return OfUrl(options.url, options, env);
  if (const auto url = env("TUTTI_URL")) return OfUrl(*url, options, env);
  TUTTI_ASSIGN_OR_RETURN(const fs::path data_dir, DataDirOf(options, env));
  Result<EndpointFile> file = ReadEndpointFile(data_dir);
  if (!file && file.error().code == ErrorCode::kNotFound) {
    if (const auto pid = SupervisorOf(data_dir)) {
      return Fail(ErrorCode::kUnavailable,
                  "the coordinator of " + data_dir.string() + " is not serving (yet)",
                  (data_dir / "endpoint.json").string(),
                  "its supervisor runs as pid " + std::to_string(*pid) + "; look into " +
                      (data_dir / "logs/coordinator.log").string());
    }
    return Fail(ErrorCode::kUnavailable, "no cluster runs in " + data_dir.string(),
                (data_dir / "endpoint.json").string(),
                "start one with `" + UpLine(data_dir, options, env) +
                    " --detach`, or name one with --url or TUTTI_URL");
  }
  if (!file) return Fail(file.error());
  Endpoint endpoint{.url = {}, .token = {}, .data_dir = data_dir};
  TUTTI_ASSIGN_OR_RETURN(endpoint.url, httpclient::ParseUrl(file->url));
  TUTTI_RETURN_IF_ERROR(FillTrust(endpoint.url, options, env, file->pin));
  TUTTI_ASSIGN_OR_RETURN(endpoint.token, ReadToken(file->token_file));
  return endpoint;
}

std::optional<int> SupervisorOf(const fs::path& data_dir) {
  const fs::path path = data_dir / "supervisor.lock";
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  const Result<std::string> text = ReadFile(path, kSmallFile);
  if (!text) return std::nullopt;
  int pid = 0;
  std::from_chars(text->data(), text->data() + text->size(), pid);
  return pid;
}

}  // namespace tutti::client
