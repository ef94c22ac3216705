// A TCP connection, with TLS or without, whose reads and writes end at a deadline or when they are
// told to stop: what Beast calls a SyncStream. One thread at a time.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <memory>
#include <string>

#include "common/base/time.h"
#include "common/file/file.h"
#include "common/httpclient/tls_session.h"
#include "common/tls/trust.h"

namespace tutti::httpclient {

class Socket {
 public:
  // `stop_fd`: readable once waiting is to end; -1: never.
  Socket(UniqueFd fd, int stop_fd) : fd_(std::move(fd)), stop_fd_(stop_fd) {}

  void set_deadline(Instant deadline) { deadline_ = deadline; }

  // From now on TLS, with a server that `trust` believes to be `host`. `where`: for errors.
  Status StartTls(const tls::Trust& trust, const std::string& host, const std::string& where);

  // boost::asio::error::timed_out at the deadline, operation_aborted when told to stop, eof at the
  // end.
  template <typename Buffers>
  std::size_t read_some(const Buffers& buffers, boost::system::error_code& error) {
    const boost::asio::mutable_buffer first = First<boost::asio::mutable_buffer>(buffers);
    return tls_ ? tls_->Read(*this, first, error) : Receive(first, error);
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& error) {
    const boost::asio::const_buffer first = First<boost::asio::const_buffer>(buffers);
    return tls_ ? tls_->Write(*this, first, error) : Transmit(first, error);
  }
  // Beast asks for these by name; nobody calls them.
  template <typename Buffers>
  std::size_t read_some(const Buffers& buffers) {
    boost::system::error_code error;
    const std::size_t count = read_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return count;
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers) {
    boost::system::error_code error;
    const std::size_t count = write_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return count;
  }

  // The bytes as they are on the line.
  std::size_t Receive(boost::asio::mutable_buffer buffer, boost::system::error_code& error) {
    return Transfer(POLLIN, error,
                    [&] { return ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT); });
  }
  std::size_t Transmit(boost::asio::const_buffer buffer, boost::system::error_code& error) {
    return Transfer(POLLOUT, error, [&] {
      return ::send(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    });
  }

  // Waits until the descriptor is ready for `events`.
  boost::system::error_code Wait(short events);

 private:
  template <typename Buffer, typename Buffers>
  static Buffer First(const Buffers& buffers) {
    for (auto it = boost::asio::buffer_sequence_begin(buffers);
         it != boost::asio::buffer_sequence_end(buffers); ++it) {
      const Buffer buffer(*it);
      if (buffer.size() > 0) return buffer;
    }
    return Buffer();
  }

  template <typename Call>
  std::size_t Transfer(short events, boost::system::error_code& error, Call call) {
    for (;;) {
      const ssize_t count = call();
      if (count > 0) {
        error = {};
        return static_cast<std::size_t>(count);
      }
      if (count == 0) {
        error = boost::asio::error::eof;
        return 0;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        error = {errno, boost::system::system_category()};
        return 0;
      }
      error = Wait(events);
      if (error) return 0;
    }
  }

  UniqueFd fd_;
  int stop_fd_;
  std::unique_ptr<TlsSession> tls_;
  Instant deadline_;
};

}  // namespace tutti::httpclient
