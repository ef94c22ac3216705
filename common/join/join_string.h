// The join string: one line that lets a worker on another machine into a cluster. It holds where
// the coordinator is, by what to know it, and a secret that works once. Values; any thread.
//
//   "tutti-join-1:" + base64url (no padding) of {"http", "pin", "zmq", "key", "secret", "name"}
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti {

struct JoinString {
  std::string http;      // "https://HOST:PORT"
  std::string pin = {};  // "sha256:…" of the certificate; "" = plain HTTP, or one that is signed
  std::string zmq;       // "tcp://HOST:PORT"
  std::string key;       // the coordinator's CURVE key, Z85
  std::string secret = {};  // never logged
  std::string name = {};    // the worker has to have; "" = any
  bool operator==(const JoinString&) const = default;
};

inline constexpr std::string_view kJoinPrefix = "tutti-join-1:";

std::string FormatJoin(const JoinString& join);
// White space around it is ignored. kInvalid says what is wrong with it, never quoting it.
Result<JoinString> ParseJoin(std::string_view text);

// base64url without padding (RFC 4648, 5).
std::string EncodeBase64Url(std::string_view bytes);
// kInvalid for characters that are none of it and for lengths that nothing has.
Result<std::string> DecodeBase64Url(std::string_view text);

}  // namespace tutti
