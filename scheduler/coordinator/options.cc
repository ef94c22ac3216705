#include "scheduler/coordinator/options.h"

#include "common/version/version.h"

namespace tutti::coordinator {
namespace {

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Result<config::HostPort> LoopbackIn(const std::string& text, const char* where) {
  TUTTI_ASSIGN_OR_RETURN(config::HostPort address, config::ParseHostPort(text, where));
  if (!IsLoopback(address.host)) {
    return Fail(ErrorCode::kUnsupported,
                "serving on " + address.host +
                    ", which other machines reach, needs TLS, and that is not supported yet",
                where, "use 127.0.0.1");
  }
  if (address.host == "localhost") address.host = "127.0.0.1";
  return address;
}

}  // namespace

Result<std::variant<Options, ShowText>> ParseOptions(std::span<const std::string> arguments) {
  Options options;
  std::string http = "127.0.0.1:7717";
  std::string zmq = "127.0.0.1:7718";
  const config::Program program{
      .name = "tutti-coordinator",
      .summary = "Owns the queue of a Tutti cluster: its store, its API, its decisions.",
      .version = std::string(Version()) + " (" + std::string(Revision()) + ")",
      .options = {
          {.name = "data-dir",
           .target = &options.data_dir,
           .help = "folder of the cluster's state",
           .required = true},
          {.name = "http", .target = &http, .help = "HOST:PORT of the API; port 0: a free one"},
          {.name = "zmq", .target = &zmq, .help = "HOST:PORT for workers; port 0: a free one"}}};
  TUTTI_ASSIGN_OR_RETURN(const auto text, config::Parse(program, arguments));
  if (text) return ShowText{*text};
  TUTTI_ASSIGN_OR_RETURN(options.http, LoopbackIn(http, "--http"));
  TUTTI_ASSIGN_OR_RETURN(options.zmq, LoopbackIn(zmq, "--zmq"));
  std::error_code error;
  options.data_dir = std::filesystem::absolute(options.data_dir, error).lexically_normal();
  if (error) return Fail(ErrnoError("cannot find", "--data-dir", error.value()));
  return options;
}

}  // namespace tutti::coordinator
