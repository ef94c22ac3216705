#include "scheduler/webhooks/signature.h"

#include <openssl/evp.h>

#include "common/digest/sha256.h"

namespace tutti::webhooks {
namespace {

constexpr std::string_view kPrefix = "whsec_";
constexpr std::string_view kPurpose = "tutti webhook 1:";  // no other use gives the same bytes

std::string Base64(const Digest& digest) {
  std::string text(4 * ((digest.bytes.size() + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     digest.bytes.data(), static_cast<int>(digest.bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// "" for what is none.
std::string FromBase64(std::string_view text) {
  std::string bytes(text.size() + 1, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length <= 0) return {};
  std::size_t size = static_cast<std::size_t>(length);
  for (; !text.empty() && text.back() == '='; text.remove_suffix(1)) --size;  // padding's zeros
  bytes.resize(size);
  return bytes;
}

}  // namespace

std::string SecretFor(std::string_view cluster_secret, std::string_view whose) {
  const Digest mac = HmacSha256(cluster_secret, std::string(kPurpose) + std::string(whose));
  return std::string(kPrefix) + Base64(mac);
}

Result<std::string> Signature(std::string_view secret, std::string_view id, std::int64_t seconds,
                              std::string_view body) {
  std::string key;
  if (secret.starts_with(kPrefix)) key = FromBase64(secret.substr(kPrefix.size()));
  if (key.empty()) return Fail(ErrorCode::kInvalid, "this is no secret of a webhook");
  std::string text(id);
  text += "." + std::to_string(seconds) + ".";
  text += body;
  return "v1," + Base64(HmacSha256(key, text));
}

}  // namespace tutti::webhooks
