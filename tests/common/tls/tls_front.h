// A TLS server for tests of clients: takes connections on 127.0.0.1, any port, and carries their
// bytes to a plain server's port and back. A thread of its own; one connection after another.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "common/file/file.h"
#include "common/tls/identity.h"

namespace tutti::tls {

class TlsFront {
 public:
  TlsFront(Identity identity, int plain_port)
      : identity_(std::move(identity)), plain_port_(plain_port) {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = AddressOf(0);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), raw, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    EXPECT_EQ(::getsockname(listener_.get(), raw, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~TlsFront() {
    stop_ = true;
    thread_.join();
  }

  int port() const { return port_; }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  const Identity& identity() const { return identity_; }

 private:
  static constexpr int kLookMs = 20;

  static sockaddr_in AddressOf(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  void Serve() {
    while (!stop_) {
      pollfd ready{listener_.get(), POLLIN, 0};
      if (::poll(&ready, 1, kLookMs) <= 0) continue;
      const UniqueFd near(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const UniqueFd far(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in address = AddressOf(plain_port_);
      if (::connect(far.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        continue;
      }
      Carry(near.get(), far.get());
    }
  }

  void Carry(int near, int far) {
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(near, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(identity_.context.get()),
                                                        &SSL_free);
    SSL_set_fd(ssl.get(), near);
    if (SSL_accept(ssl.get()) != 1) return;
    std::array<char, 16384> data{};
    while (!stop_) {
      std::array<pollfd, 2> ready{{{near, POLLIN, 0}, {far, POLLIN, 0}}};
      if (SSL_pending(ssl.get()) == 0 && ::poll(ready.data(), ready.size(), kLookMs) <= 0) continue;
      if (SSL_pending(ssl.get()) > 0 || ready[0].revents != 0) {
        const int size = SSL_read(ssl.get(), data.data(), static_cast<int>(data.size()));
        if (size <= 0) return;
        if (::send(far, data.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) return;
      }
      if (ready[1].revents != 0) {
        const ssize_t size = ::recv(far, data.data(), data.size(), 0);
        if (size <= 0) {
          SSL_shutdown(ssl.get());
          return;
        }
        if (SSL_write(ssl.get(), data.data(), static_cast<int>(size)) <= 0) return;
      }
    }
  }

  Identity identity_;
  int plain_port_ = 0;
  UniqueFd listener_;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace tutti::tls
