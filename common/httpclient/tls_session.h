// The TLS half of a Socket: OpenSSL over the socket's own reads and writes, so that every wait
// keeps its deadline. One thread at a time.
#pragma once

#include <openssl/types.h>

#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/tls/trust.h"

namespace tutti::httpclient {

class Socket;

class TlsSession {
 public:
  // Shakes hands. kAuth when `trust` does not believe the server to be `host`.
  static Result<std::unique_ptr<TlsSession>> Start(Socket& socket, const tls::Trust& trust,
                                                   const std::string& host,
                                                   const std::string& where);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // As Socket::read_some and write_some.
  std::size_t Read(Socket& socket, boost::asio::mutable_buffer buffer,
                   boost::system::error_code& error);
  std::size_t Write(Socket& socket, boost::asio::const_buffer buffer,
                    boost::system::error_code& error);

 private:
  explicit TlsSession(SSL* ssl);
  template <typename Call>
  std::size_t Drive(Socket& socket, boost::system::error_code& error, Call call);
  bool Flush(Socket& socket, boost::system::error_code& error);

  SSL* const ssl_;
  BIO* const from_line_;  // owned by ssl_
  BIO* const to_line_;    // owned by ssl_
};

}  // namespace tutti::httpclient
