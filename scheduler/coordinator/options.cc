#include "scheduler/coordinator/options.h"

#include <algorithm>
#include <cctype>

#include "common/base/host.h"
#include "common/version/version.h"
#include "scheduler/coordinator/addresses.h"

namespace tutti::coordinator {
namespace {

Result<config::HostPort> AddressIn(const std::string& text, const char* where) {
  TUTTI_ASSIGN_OR_RETURN(config::HostPort address, config::ParseHostPort(text, where));
  if (address.host == "localhost") address.host = "127.0.0.1";
  return address;
}

// A name or an address, without a port: it goes into certificates and join strings.
Status CheckAdvertised(const std::string& host) {
  const bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':';
  });
  if (plain && std::count(host.begin(), host.end(), ':') != 1 && !IsAny(host)) return {};
  return Fail(ErrorCode::kInvalid, "'" + host + "' is no host name or IP address", "--advertise",
              "the name by which other machines reach this one, without a port");
}

Status FillTls(Options& options) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return Fail(ErrorCode::kInvalid, "a certificate and its key come together",
                options.tls_cert.empty() ? "--tls-cert" : "--tls-key",
                "give --tls-cert FILE and --tls-key FILE");
  }
  for (std::filesystem::path* file : {&options.tls_cert, &options.tls_key}) {
    std::error_code error;
    if (!file->empty()) *file = std::filesystem::absolute(*file, error).lexically_normal();
    if (error) return Fail(ErrnoError("cannot find", file->string(), error.value()));
  }
  options.tls = options.tls || !options.tls_cert.empty() || !IsLoopbackHost(options.http.host);
  if (options.advertise.empty()) return {};
  return CheckAdvertised(options.advertise);
}

Status FillWebhooks(Options& options, const std::string& text) {
  using webhooks::Network;
  if (text.empty()) {
    options.webhooks_to = {Network::kPublic, Network::kPrivate};
    if (IsLoopbackHost(options.http.host)) {
      options.webhooks_to = options.webhooks_to | webhooks::Networks{Network::kLoopback};
    }
    return {};
  }
  auto networks = webhooks::Networks::Parse(text);
  if (!networks) {
    Error error = std::move(networks).error();
    error.where = "--webhooks-to";
    return Fail(std::move(error));
  }
  options.webhooks_to = *networks;
  return {};
}

}  // namespace

Result<std::variant<Options, ShowText>> ParseOptions(std::span<const std::string> arguments) {
  Options options;
  std::string http = "127.0.0.1:7717";
  std::string zmq = "127.0.0.1:7718";
  std::string webhooks_to;
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
          {.name = "zmq", .target = &zmq, .help = "HOST:PORT for workers; port 0: a free one"},
          {.name = "tls",
           .target = &options.tls,
           .help = "HTTPS on loopback too; where other machines reach it, always"},
          {.name = "tls-cert",
           .target = &options.tls_cert,
           .help = "certificate and chain (PEM); none: one is made, signed by itself"},
          {.name = "tls-key", .target = &options.tls_key, .help = "its key (PEM)"},
          {.name = "advertise",
           .target = &options.advertise,
           .help = "name or address by which other machines reach this one"},
          {.name = "webhooks-to",
           .target = &webhooks_to,
           .help = "networks where webhooks of jobs may go, of public,private,loopback,link-local; "
                   "default: public,private, and loopback where only this machine submits"},
          {.name = "blob-grace",
           .target = &options.blob_grace,
           .help = "how long inputs stay that no job and no model needs any more"}}};
  TUTTI_ASSIGN_OR_RETURN(const auto text, config::Parse(program, arguments));
  if (text) return ShowText{*text};
  TUTTI_ASSIGN_OR_RETURN(options.http, AddressIn(http, "--http"));
  TUTTI_ASSIGN_OR_RETURN(options.zmq, AddressIn(zmq, "--zmq"));
  std::error_code error;
  options.data_dir = std::filesystem::absolute(options.data_dir, error).lexically_normal();
  if (error) return Fail(ErrnoError("cannot find", "--data-dir", error.value()));
  TUTTI_RETURN_IF_ERROR(FillTls(options));
  TUTTI_RETURN_IF_ERROR(FillWebhooks(options, webhooks_to));
  return options;
}

}  // namespace tutti::coordinator
