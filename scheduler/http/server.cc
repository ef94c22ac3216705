#include "scheduler/http/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/host.h"
#include "common/base/log.h"
#include "scheduler/http/connection.h"

namespace tutti::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr rlim_t kOtherFiles = 256;  // what the process needs besides connections
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);

// Raises the soft limit of open files as far as needed and allowed; returns how many connections
// fit then.
std::size_t FitConnections(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t needed = static_cast<rlim_t>(wanted) * 2 + kOtherFiles;  // each may send a file
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  const rlim_t fits = limit.rlim_cur > kOtherFiles * 2 ? limit.rlim_cur - kOtherFiles : kOtherFiles;
  return std::min(wanted, static_cast<std::size_t>(fits));
}

Result<asio::ip::address> AddressToServe(const std::string& host, bool tls) {
  error_code error;
  const std::string text = host == "localhost" ? "127.0.0.1" : host == "[::1]" ? "::1" : host;
  const auto address = asio::ip::make_address(text, error);
  if (error) {
    return Fail(ErrorCode::kInvalid, "'" + host + "' is no IP address", "--http",
                "use an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them");
  }
  if (!address.is_loopback() && !tls) {
    return Fail(ErrorCode::kInvalid,
                "serving on " + host + ", which other machines reach, needs a TLS certificate",
                "--http");
  }
  return address;
}

}  // namespace

class Server::Engine {
 public:
  Engine(ServerOptions options, const Router& router, const Auth& auth)
      : shared_(std::move(options), router, auth),
        connections_max_(FitConnections(shared_.options.connections_max)) {
    for (int i = 0; i < shared_.options.io_threads; ++i) {
      threads_.push_back(std::make_unique<IoThread>());
      guards_.push_back(asio::make_work_guard(threads_.back()->context));
    }
    acceptor_ = std::make_unique<tcp::acceptor>(threads_.front()->context);
    retry_ = std::make_unique<asio::steady_timer>(threads_.front()->context);
  }

  Status Bind(const asio::ip::address& address) {
    const tcp::endpoint endpoint(address, shared_.options.port);
    error_code error;
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
    const std::string where = shared_.options.host + ":" + std::to_string(shared_.options.port);
    if (error == asio::error::address_in_use) {
      return Fail(ErrorCode::kConflict, "the port is taken", where, "port 0 takes a free one");
    }
    if (error) return Fail(ErrorCode::kIo, "cannot listen: " + error.message(), where);
    port_ = acceptor_->local_endpoint(error).port();
    return {};
  }

  void Run() {
    Accept();
    for (const auto& thread : threads_) {
      runners_.emplace_back([&context = thread->context] { context.run(); });
    }
  }

  void Stop(std::chrono::milliseconds deadline) {
    if (std::exchange(stopped_, true)) return;
    shared_.stopping = true;
    asio::post(threads_.front()->context, [this] {
      error_code ignored;
      acceptor_->close(ignored);
      retry_->cancel();
    });
    ForEachConnection(&Connection::Wind);
    if (!WaitUntilClosed(deadline)) {
      if (deadline.count() > 0) Log(kWarning, "http_connections_cut", {{"open", Connections()}});
      ForEachConnection(&Connection::Close);
      WaitUntilClosed(std::chrono::seconds(1));
    }
    shared_.pool.stop();
    shared_.pool.join();
    guards_.clear();
    for (const auto& thread : threads_) thread->context.stop();
    for (std::thread& runner : runners_) runner.join();
    // Late answers are dropped from here on; what is left of connections goes with the contexts.
    for (const auto& thread : threads_) {
      thread->mailbox->Close();
      Each(thread->connections, &Connection::Close);
    }
    retry_.reset();
    acceptor_.reset();
    threads_.clear();
  }

  std::size_t Connections() {
    const std::lock_guard lock(shared_.mutex);
    return shared_.open;
  }

  std::uint16_t port() const { return port_; }
  const ServerOptions& options() const { return shared_.options; }

 private:
  void Accept() {
    IoThread& thread = *threads_[next_++ % threads_.size()];
    acceptor_->async_accept(thread.context, [this, &thread](error_code error, tcp::socket socket) {
      if (shared_.stopping || error == asio::error::operation_aborted) return;
      if (error) {  // out of files or memory: the backlog holds them meanwhile
        Log(kWarning, "http_accept_failed", {{"error", error.message()}});
        retry_->expires_after(kAcceptRetry);
        retry_->async_wait([this](error_code aborted) {
          if (!aborted && !shared_.stopping) Accept();
        });
        return;
      }
      if (Connections() >= connections_max_) {
        TurnAway(std::move(socket));
      } else {
        shared_.Opened();
        // Made on its own thread; until then the count holds its place.
        auto moved = std::make_shared<tcp::socket>(std::move(socket));
        asio::post(thread.context, [this, &thread, moved] {
          std::make_shared<Connection>(std::move(*moved), shared_, thread)->Start();
        });
      }
      Accept();
    });
  }

  void TurnAway(tcp::socket socket) const {
    // In TLS it would be no record: there the end alone has to say it.
    if (shared_.options.identity) return;
    static const std::string kBusy =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\n"
        "connection: close\r\n\r\n";
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kBusy), ignored);
    socket.close(ignored);
  }

  void ForEachConnection(void (Connection::*act)()) {
    for (const auto& thread : threads_) {
      asio::post(thread->context,
                 [&connections = thread->connections, act] { Each(connections, act); });
    }
  }

  static void Each(const std::unordered_set<Connection*>& connections, void (Connection::*act)()) {
    // Closing a connection may end it, and takes it out of the set.
    std::vector<std::shared_ptr<Connection>> all;
    for (Connection* connection : connections) all.push_back(connection->shared_from_this());
    for (const auto& connection : all) (connection.get()->*act)();
  }

  bool WaitUntilClosed(std::chrono::milliseconds deadline) {
    std::unique_lock lock(shared_.mutex);
    return shared_.closed.wait_for(lock, deadline, [this] { return shared_.open == 0; });
  }

  Shared shared_;
  const std::size_t connections_max_;
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
  std::unique_ptr<tcp::acceptor> acceptor_;    // on the first I/O thread
  std::unique_ptr<asio::steady_timer> retry_;  // likewise
  std::vector<std::thread> runners_;
  std::size_t next_ = 0;
  std::uint16_t port_ = 0;
  bool stopped_ = false;
};

Server::Server(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, const Router& router,
                                              const Auth& auth) {
  TUTTI_ASSIGN_OR_RETURN(const asio::ip::address address,
                         AddressToServe(options.host, options.identity.has_value()));
  auto engine = std::make_unique<Engine>(std::move(options), router, auth);
  TUTTI_RETURN_IF_ERROR(engine->Bind(address));
  engine->Run();
  return std::unique_ptr<Server>(new Server(std::move(engine)));
}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

std::uint16_t Server::Port() const { return engine_->port(); }

std::string Server::Url() const {
  std::string host = engine_->options().host;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::" || host == "[::]") host = "::1";
  if (!host.starts_with('[')) host = Bracketed(host);
  return (engine_->options().identity ? "https://" : "http://") + host + ":" +
         std::to_string(Port());
}

std::size_t Server::Connections() const { return engine_->Connections(); }

void Server::Stop(std::chrono::milliseconds deadline) { engine_->Stop(deadline); }

}  // namespace tutti::http
