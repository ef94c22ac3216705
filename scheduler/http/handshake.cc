// How a connection of a TLS server begins: the client's hello, the handshake, and an answer for
// those who speak plain HTTP to it.
#include <cctype>
#include <utility>

#include "scheduler/http/connection.h"

namespace tutti::http {
namespace {

constexpr std::size_t kHello = 1024;
constexpr unsigned char kHandshakeRecord = 0x16;  // RFC 8446, 5.1

}  // namespace

// One deadline, set by Start, for all of it.
void Connection::WaitForHello() {
  stream_.tcp().async_read_some(
      buffer_.prepare(kHello), [self = shared_from_this()](ErrorCodeAsio error, std::size_t bytes) {
        if (error || self->doing_ == Doing::kClosed) return self->Close();
        self->buffer_.commit(bytes);
        const auto first = *static_cast<const unsigned char*>(self->buffer_.data().data());
        if (first == kHandshakeRecord) return self->ShakeHands();
        if (std::isupper(first) != 0) return self->SayItIsTls();  // "GET …"
        self->Close();
      });
}

void Connection::ShakeHands() {
  stream_.UseTls(shared_.options.identity->context);
  stream_.async_handshake_as_server(
      buffer_.data(), [self = shared_from_this()](ErrorCodeAsio error, std::size_t used) {
        if (error || self->doing_ == Doing::kClosed) return self->Close();
        self->buffer_.consume(used);
        self->stream_.tcp().expires_after(self->shared_.options.header_deadline);
        self->WaitForRequest();
      });
}

void Connection::SayItIsTls() {
  Begin();
  buffer_.clear();
  Refuse(400, {ErrorCode::kInvalid,
               "this port speaks HTTPS, the request came without TLS",
               {},
               "use https:// in place of http://"});
}

}  // namespace tutti::http
