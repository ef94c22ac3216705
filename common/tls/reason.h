// What OpenSSL says about its last failure. Internal to common/tls; of the calling thread.
#pragma once

#include <openssl/err.h>

#include <string>

namespace tutti::tls {

// And an empty queue for the next failure.
inline std::string Reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return text != nullptr ? text : "OpenSSL gives no reason";
}

}  // namespace tutti::tls
