// A TCP connection of Asio's that may speak TLS: what Beast calls an async stream, with
// tcp_stream's deadlines. Owned by one connection and used on its thread alone; only files that
// move bytes include it.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <optional>
#include <utility>

#include "common/tls/identity.h"

namespace tutti::tls {

class Stream {
 public:
  using executor_type = boost::beast::tcp_stream::executor_type;

  explicit Stream(boost::beast::tcp_stream tcp) : tcp_(std::move(tcp)) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  executor_type get_executor() { return tcp_.get_executor(); }
  // Of deadlines and of bytes that are not TLS's.
  boost::beast::tcp_stream& tcp() { return tcp_; }

  // From now on reads and writes are TLS's; a handshake comes first.
  SSL& UseTls(const Context& context) {
    SSL_CTX_up_ref(context.get());
    boost::asio::ssl::context shared(context.get());
    tls_.emplace(tcp_, shared);
    return *tls_->native_handle();
  }
  bool is_tls() const { return tls_.has_value(); }

  // handler(error_code)
  template <typename Handler>
  void async_handshake_as_client(Handler&& handler) {
    tls_->async_handshake(boost::asio::ssl::stream_base::client, std::forward<Handler>(handler));
  }
  // `read`: what the client sent already. handler(error_code, bytes of it that were used)
  template <typename Buffers, typename Handler>
  void async_handshake_as_server(const Buffers& read, Handler&& handler) {
    tls_->async_handshake(boost::asio::ssl::stream_base::server, read,
                          std::forward<Handler>(handler));
  }
  // Says goodbye and waits for the peer's. handler(error_code)
  template <typename Handler>
  void async_shutdown(Handler&& handler) {
    tls_->async_shutdown(std::forward<Handler>(handler));
  }

  // handler(error_code, bytes)
  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) {
      tls_->async_read_some(buffers, std::forward<Handler>(handler));
    } else {
      tcp_.async_read_some(buffers, std::forward<Handler>(handler));
    }
  }
  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) {
      tls_->async_write_some(buffers, std::forward<Handler>(handler));
    } else {
      tcp_.async_write_some(buffers, std::forward<Handler>(handler));
    }
  }

 private:
  boost::beast::tcp_stream tcp_;
  std::optional<boost::asio::ssl::stream<boost::beast::tcp_stream&>> tls_;
};

}  // namespace tutti::tls
