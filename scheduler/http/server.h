// The HTTP/1.1 server, over TLS where it has an identity: a few I/O threads for all connections, a
// few for file work. It checks Host, Origin, token, sizes and deadlines before a handler sees
// anything, and writes what handlers answer without ever waiting for a slow client. Start, Stop and
// the destructor belong to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/base/units.h"
#include "common/tls/identity.h"
#include "scheduler/http/auth.h"
#include "scheduler/http/router.h"

namespace tutti::metrics {
class HttpMetrics;
}

namespace tutti::http {

struct ServerOptions {
  std::string host = "127.0.0.1";              // an address, or "localhost"
  std::uint16_t port = 0;                      // 0 = any free one
  int io_threads = 2;                          //
  int pool_threads = 2;                        // RunOn::kPool
  std::filesystem::path spool_dir = {};        // where Body::kFile bodies land; must exist
  metrics::HttpMetrics* metrics = nullptr;     // outlives the server
  std::optional<tls::Identity> identity = {};  // none: plain HTTP, on loopback only

  std::size_t connections_max = 12'000;
  Bytes header_max{16 * 1024};
  std::chrono::milliseconds header_deadline{10'000};  // first to last header byte; a handshake
  std::chrono::milliseconds idle_timeout{75'000};     // between requests of a connection
  std::chrono::milliseconds body_deadline{30'000};    // for JSON; for files: between two pieces
  std::chrono::milliseconds write_deadline{30'000};   // for a client to take 64 KiB
};

class Server {
 public:
  // Binds and serves. `router` and `auth` are borrowed. kInvalid for an address that others could
  // reach without an identity; kConflict when the port is taken.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, const Router& router,
                                               const Auth& auth);
  ~Server();  // Stop(0)

  std::uint16_t Port() const;
  std::string Url() const;  // for clients on this machine: "http://127.0.0.1:7717"
  std::size_t Connections() const;

  // No new connections; streams end; requests under way are answered until `deadline`, then cut.
  // After it no handler runs. Responders that handlers kept stay harmless.
  void Stop(std::chrono::milliseconds deadline);

 private:
  class Engine;
  explicit Server(std::unique_ptr<Engine> engine);
  std::unique_ptr<Engine> engine_;
};

}  // namespace tutti::http
