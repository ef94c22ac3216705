#include "common/join/join_string.h"

#include <cstdint>
#include <nlohmann/json.hpp>

#include "common/curve/keys.h"
#include "common/digest/sha256.h"

namespace tutti {
namespace {

using nlohmann::json;

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kTextMax = 4096;
constexpr std::size_t kSecretMin = 16;

Unexpected Bad(std::string what) {
  return Fail(ErrorCode::kInvalid, std::move(what), "--join",
              "copy all of the line that `tutti worker token` prints");
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// "" where the field is missing, null or no text.
std::string TextOf(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Status Check(const JoinString& join) {
  if (!join.http.starts_with("https://") && !join.http.starts_with("http://")) {
    return Bad("the join string has no HTTP address");
  }
  if (!join.zmq.starts_with("tcp://")) return Bad("the join string has no address for workers");
  if (!curve::DecodeKey(join.key)) return Bad("the join string has no key of the coordinator");
  if (join.secret.size() < kSecretMin) return Bad("the join string has no secret");
  if (!join.pin.empty() && !Digest::Parse(join.pin)) {
    return Bad("the join string's certificate pin is none");
  }
  return {};
}

}  // namespace

std::string EncodeBase64Url(std::string_view bytes) {
  std::string text;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) text += kAlphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) text += kAlphabet[bits << (6 - count) & 63];
  return text;
}

Result<std::string> DecodeBase64Url(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return Fail(ErrorCode::kInvalid, "not base64url");
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 255);
  }
  // What is left over is padding of zero bits, fewer than one character has.
  if (count >= 6 || (bits & ((1U << count) - 1)) != 0) {
    return Fail(ErrorCode::kInvalid, "not base64url");
  }
  return bytes;
}

std::string FormatJoin(const JoinString& join) {
  json object = {
      {"http", join.http}, {"zmq", join.zmq}, {"key", join.key}, {"secret", join.secret}};
  object["pin"] = join.pin.empty() ? json() : json(join.pin);
  if (!join.name.empty()) object["name"] = join.name;
  return std::string(kJoinPrefix) + EncodeBase64Url(object.dump());
}

Result<JoinString> ParseJoin(std::string_view text) {
  text = Trimmed(text);
  if (!text.starts_with(kJoinPrefix)) {
    if (text.starts_with("tutti-join-")) {
      return Fail(ErrorCode::kInvalid, "the join string is of another version of Tutti", "--join",
                  "install the same version on both machines");
    }
    return Bad("not a join string: it begins with " + std::string(kJoinPrefix));
  }
  if (text.size() > kTextMax) return Bad("the join string is too long");
  const auto decoded = DecodeBase64Url(text.substr(kJoinPrefix.size()));
  const json object = decoded ? json::parse(*decoded, nullptr, false) : json();
  if (!object.is_object()) return Bad("the join string is cut or damaged");
  JoinString join{.http = TextOf(object, "http"),
                  .pin = TextOf(object, "pin"),
                  .zmq = TextOf(object, "zmq"),
                  .key = TextOf(object, "key"),
                  .secret = TextOf(object, "secret"),
                  .name = TextOf(object, "name")};
  TUTTI_RETURN_IF_ERROR(Check(join));
  return join;
}

}  // namespace tutti
