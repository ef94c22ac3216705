#include "common/httpclient/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/asio/ssl/error.hpp>
#include <limits>

#include "common/httpclient/socket.h"

namespace tutti::httpclient {
namespace {

namespace asio = boost::asio;
using SystemError = boost::system::error_code;

constexpr std::size_t kRecord = std::size_t{17} << 10;  // TLS's largest, with its header

int Clamped(std::size_t size) {
  return static_cast<int>(
      std::min<std::size_t>(size, static_cast<std::size_t>(std::numeric_limits<int>::max())));
}

}  // namespace

TlsSession::TlsSession(SSL* ssl)
    : ssl_(ssl), from_line_(BIO_new(BIO_s_mem())), to_line_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl_, from_line_, to_line_);
  SSL_set_connect_state(ssl_);
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

Result<std::unique_ptr<TlsSession>> TlsSession::Start(Socket& socket, const tls::Trust& trust,
                                                      const std::string& host,
                                                      const std::string& where) {
  TUTTI_ASSIGN_OR_RETURN(const tls::Context context, tls::ClientContext(trust));
  SSL* ssl = SSL_new(context.get());
  if (ssl == nullptr) return Fail(ErrorCode::kInternal, "OpenSSL makes no connection", where);
  std::unique_ptr<TlsSession> session(new TlsSession(ssl));
  TUTTI_RETURN_IF_ERROR(tls::ExpectHost(*ssl, host));
  SystemError error;
  session->Drive(socket, error, [ssl] { return SSL_do_handshake(ssl); });
  if (error == asio::error::timed_out) {
    return Fail(ErrorCode::kTimeout, "no TLS connection in time", where);
  }
  if (error == asio::error::operation_aborted) {
    return Fail(ErrorCode::kUnavailable, "interrupted", where);
  }
  if (error) return Fail(tls::HandshakeError(*ssl, error.message(), where));
  return session;
}

std::size_t TlsSession::Read(Socket& socket, asio::mutable_buffer buffer, SystemError& error) {
  return Drive(socket, error,
               [&] { return SSL_read(ssl_, buffer.data(), Clamped(buffer.size())); });
}

std::size_t TlsSession::Write(Socket& socket, asio::const_buffer buffer, SystemError& error) {
  if (buffer.size() == 0) return 0;
  return Drive(socket, error,
               [&] { return SSL_write(ssl_, buffer.data(), Clamped(buffer.size())); });
}

// What OpenSSL wants sent goes to the line.
bool TlsSession::Flush(Socket& socket, SystemError& error) {
  std::array<char, kRecord> block{};
  for (;;) {
    const int size = BIO_read(to_line_, block.data(), static_cast<int>(block.size()));
    if (size <= 0) return true;
    std::size_t sent = 0;
    while (sent < static_cast<std::size_t>(size)) {
      sent += socket.Transmit(
          asio::buffer(block.data() + sent, static_cast<std::size_t>(size) - sent), error);
      if (error) return false;
    }
  }
}

// Calls until OpenSSL is done, and carries bytes between it and the line meanwhile.
template <typename Call>
std::size_t TlsSession::Drive(Socket& socket, SystemError& error, Call call) {
  for (;;) {
    ERR_clear_error();
    const int done = call();
    const int state = SSL_get_error(ssl_, done);
    const auto reason = static_cast<int>(ERR_peek_last_error());
    SystemError broken;
    const bool flushed = Flush(socket, broken);  // a refusal's alert too
    if (done > 0) {
      error = broken;
      return flushed ? static_cast<std::size_t>(done) : 0;
    }
    if (state == SSL_ERROR_ZERO_RETURN) {
      error = asio::error::eof;
      return 0;
    }
    if (state != SSL_ERROR_WANT_READ) {
      error = {reason, asio::error::get_ssl_category()};
      return 0;
    }
    std::array<char, kRecord> block{};
    const std::size_t size =
        flushed ? socket.Receive(asio::buffer(block), error) : (error = broken, std::size_t{0});
    if (error) return 0;
    BIO_write(from_line_, block.data(), static_cast<int>(size));
  }
}

Status Socket::StartTls(const tls::Trust& trust, const std::string& host,
                        const std::string& where) {
  TUTTI_ASSIGN_OR_RETURN(tls_, TlsSession::Start(*this, trust, host, where));
  return {};
}

}  // namespace tutti::httpclient
