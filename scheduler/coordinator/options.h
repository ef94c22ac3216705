// What tutti-coordinator is told on its command line. Values, parsed once.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <variant>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/config/flags.h"
#include "scheduler/webhooks/networks.h"

namespace tutti::coordinator {

struct Options {
  std::filesystem::path data_dir;  // absolute
  config::HostPort http{"127.0.0.1", 7717};
  config::HostPort zmq{"127.0.0.1", 7718};
  bool tls = false;                     // HTTP over TLS: always where other machines reach it
  std::filesystem::path tls_cert = {};  // absolute; empty: a certificate signed by itself
  std::filesystem::path tls_key = {};   // absolute
  std::string advertise = {};           // how other machines reach this one; "" = found out
  // Where webhooks of jobs may go; those of the cluster may go to all but link-local anyway.
  webhooks::Networks webhooks_to = {};
  Duration blob_grace = std::chrono::hours(24 * 7);  // how long blobs stay that nothing needs
};

struct ShowText {  // --help, --version, --print-config
  std::string text;
};

// `arguments` without the program's name. kInvalid.
Result<std::variant<Options, ShowText>> ParseOptions(std::span<const std::string> arguments);

}  // namespace tutti::coordinator
