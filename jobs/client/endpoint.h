// Where the coordinator is: the rules of SPEC.md ("Fixed names"), in one place. Free functions that
// read files below the data directory; any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/httpclient/http.h"

namespace tutti::client {

// One variable of the environment; nullopt when unset or empty.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment ProcessEnvironment();

struct EndpointOptions {
  std::string url{};       // --url
  std::string pin{};       // --pin
  std::string data_dir{};  // --data-dir
};

struct Endpoint {
  httpclient::Url url;
  std::string token;               // "" = none known
  std::filesystem::path data_dir;  // the one whose endpoint.json it is; empty for a URL
};

// --data-dir, TUTTI_DATA_DIR, $XDG_DATA_HOME/tutti, $HOME/.local/share/tutti; absolute.
Result<std::filesystem::path> DataDirOf(const EndpointOptions& options, const Environment& env);

// --url or TUTTI_URL (with TUTTI_TOKEN, else the token of the data directory when it is that one's
// address); else the data directory's endpoint.json. kUnavailable when there is none. Whom https
// believes: --pin, TUTTI_PIN, the pin in endpoint.json when it is that one's address,
// TUTTI_CA_FILE, else the system's authorities. kInvalid for a token or a pin that would go to
// another machine in the clear.
Result<Endpoint> FindEndpoint(const EndpointOptions& options, const Environment& env);

// What DIR/endpoint.json says.
struct EndpointFile {
  std::string url;
  std::string advertise;  // the name or address by which other machines reach it
  std::string pin;        // of its certificate; "" = it serves http
  std::filesystem::path token_file;
  int pid = 0;
  int coordinator_pid = 0;
  std::string version;
};
Result<EndpointFile> ReadEndpointFile(const std::filesystem::path& data_dir);

// The pid of the supervisor that holds DIR/supervisor.lock; nullopt when none does.
std::optional<int> SupervisorOf(const std::filesystem::path& data_dir);

}  // namespace tutti::client
