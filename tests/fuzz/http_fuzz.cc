// Any bytes to a real HTTP server on a loopback connection that is then half closed: it answers
// with status lines or not at all, no more often than there can be requests, ends the connection in
// time, and goes on serving others.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/check.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "scheduler/http/server.h"
#include "tests/fuzz/fuzz_target.h"

namespace tutti::http {
namespace {

constexpr int kPatienceMs = 20'000;
constexpr int kHealthEvery = 64;
constexpr std::string_view kStatus = "HTTP/1.1 ";

// One for the whole process: started with the first input, stopped with the last.
class Serving {
 public:
  Serving() {
    folder_ = std::filesystem::temp_directory_path() / ("fuzz-http-" + std::to_string(::getpid()));
    TUTTI_CHECK(MakeDirectories(folder_).has_value(), "no folder");
    auth_.tokens().Put({.id = "t-1",
                        .sha256 = Sha256Of("t"),
                        .caller = {.user = "local", .scope = Scope::kAdmin}});
    const auto ok = [](const Request&, const Responder& responder) {
      responder.Send(Text(200, "ok"));
    };
    const auto add = [&](Route route) {
      route.summary = "for tests";
      if (route.access == Access::kUndeclared) route.access = Access::kViewer;
      route.handler = ok;
      router_.Add(std::move(route));
    };
    add({.path = "/healthz", .access = Access::kOpen});
    add({.path = "/t/{name}/{path...}"});
    add({.method = Method::kPost, .path = "/j", .body = Body::kJson, .body_max = Bytes{4096}});
    add({.method = Method::kPut,
         .path = "/f",
         .body = Body::kFile,
         .body_max = Bytes{4096},
         .run_on = RunOn::kPool});
    server_ =
        Server::Start({.io_threads = 1, .pool_threads = 1, .spool_dir = folder_}, router_, auth_)
            .value();
  }
  ~Serving() {
    server_.reset();
    const bool nothing_left = std::filesystem::is_empty(folder_);
    static_cast<void>(RemoveTree(folder_));
    TUTTI_CHECK(nothing_left, "an upload was left behind");
  }
  std::uint16_t port() const { return server_->Port(); }

 private:
  std::filesystem::path folder_;
  Router router_;
  Auth auth_{std::vector<std::string>{}};
  std::unique_ptr<Server> server_;
};

UniqueFd Connect(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected =
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  TUTTI_CHECK(connected == 0, "cannot connect: errno ", errno);
  return fd;
}

// Everything that the server says to these bytes, up to the end of the connection.
std::string Exchange(std::uint16_t port, std::string_view bytes) {
  const UniqueFd fd = Connect(port);
  std::string said;
  bool sending = true;
  for (;;) {
    pollfd wait{fd.get(), static_cast<short>(sending ? POLLIN | POLLOUT : POLLIN), 0};
    TUTTI_CHECK(::poll(&wait, 1, kPatienceMs) == 1, "the connection does not end");
    if (sending && (wait.revents & POLLOUT) != 0) {
      const ssize_t sent =
          ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      // The server may have closed already.
      bytes.remove_prefix(sent > 0 ? static_cast<std::size_t>(sent) : 0);
      if (bytes.empty() || (sent < 0 && errno != EAGAIN)) {
        ::shutdown(fd.get(), SHUT_WR);
        sending = false;
      }
    }
    if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
    char block[16 << 10];
    const ssize_t got = ::recv(fd.get(), block, sizeof block, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) continue;
    if (got <= 0) return said;
    said.append(block, static_cast<std::size_t>(got));
  }
}

void Run(std::string_view bytes) {
  static Serving serving;
  static int runs = 0;
  const std::string said = Exchange(serving.port(), bytes);
  TUTTI_CHECK(said.empty() || said.starts_with(kStatus), "not an answer: ", said.substr(0, 80));
  std::ptrdiff_t answers = 0;
  for (std::size_t at = said.find(kStatus); at != std::string::npos;
       at = said.find(kStatus, at + 1)) {
    ++answers;
  }
  // A request has a line; 100 Continue comes besides.
  const std::ptrdiff_t lines = std::count(bytes.begin(), bytes.end(), '\n');
  TUTTI_CHECK(answers <= 2 * lines + 1, answers, " answers to ", lines, " lines");
  if (++runs % kHealthEvery != 0) return;
  const std::string health =
      Exchange(serving.port(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  TUTTI_CHECK(health.starts_with("HTTP/1.1 200 "), "it does not serve any more: ", health);
}

}  // namespace
}  // namespace tutti::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) tutti::http::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
