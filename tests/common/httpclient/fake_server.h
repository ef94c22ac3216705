// An HTTP server for client tests: a thread on a free loopback port that answers each connection by
// one function. Stops in its destructor. The handler runs on the server's thread.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tutti::httpclient {

struct Seen {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class FakeServer {
 public:
  // The bytes to send back, status line and all; Json() and Text() make them. The connection is
  // closed afterwards.
  using Handler = std::function<std::string(const Seen&)>;

  explicit FakeServer(Handler handler) : handler_(std::move(handler)) {
    listen_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listen_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listen_, 64);
    socklen_t size = sizeof address;
    ::getsockname(listen_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeServer() {
    stop_ = true;
    thread_.join();
    ::close(listen_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }
  std::vector<Seen> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

  static std::string Answer(int status, const std::string& type, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string Json(const std::string& body, int status = 200) {
    return Answer(status, "application/json", body);
  }
  // A stream that ends when the connection does.
  static std::string Stream(const std::string& events) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" +
           events;
  }

 private:
  void Serve() {
    while (!stop_) {
      pollfd fd{listen_, POLLIN, 0};
      if (::poll(&fd, 1, 20) <= 0) continue;
      const int peer = ::accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) continue;
      Seen request;
      if (Read(peer, request)) {
        {
          const std::lock_guard lock(mutex_);
          seen_.push_back(request);
        }
        const std::string answer = handler_(request);
        std::size_t sent = 0;
        while (sent < answer.size()) {
          const ssize_t count =
              ::send(peer, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
          if (count <= 0) break;
          sent += static_cast<std::size_t>(count);
        }
      }
      ::close(peer);
    }
  }

  static bool Read(int peer, Seen& request) {
    std::string data;
    const auto more = [&] {
      char block[4096];
      const ssize_t count = ::recv(peer, block, sizeof block, 0);
      if (count > 0) data.append(block, static_cast<std::size_t>(count));
      return count > 0;
    };
    while (data.find("\r\n\r\n") == std::string::npos) {
      if (!more()) return false;
    }
    const std::size_t end = data.find("\r\n\r\n");
    const std::size_t space = data.find(' ');
    request.method = data.substr(0, space);
    request.target = data.substr(space + 1, data.find(' ', space + 1) - space - 1);
    std::size_t at = data.find("\r\n") + 2;
    while (at < end) {
      const std::size_t stop = data.find("\r\n", at);
      const std::string line = data.substr(at, stop - at);
      const std::size_t colon = line.find(':');
      std::string name = line.substr(0, colon);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      request.headers[name] = line.substr(line.find_first_not_of(' ', colon + 1));
      at = stop + 2;
    }
    const auto length = request.headers.find("content-length");
    const std::size_t size = length == request.headers.end() ? 0 : std::stoul(length->second);
    while (data.size() < end + 4 + size) {
      if (!more()) return false;
    }
    request.body = data.substr(end + 4, size);
    return true;
  }

  Handler handler_;
  int listen_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<Seen> seen_;
  std::thread thread_;
};

}  // namespace tutti::httpclient
