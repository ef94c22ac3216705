#include "scheduler/coordinator/worker_tokens.h"

#include "common/digest/sha256.h"

namespace tutti::coordinator {
namespace {

constexpr std::string_view kPrefix = "worker.";
constexpr std::string_view kPurpose = "tutti worker token 1:";  // no other use gives the same bytes

}  // namespace

// "worker.HEX.NAME": HMAC-SHA256 of the name under the secret.
std::string WorkerTokens::For(const std::string& worker) const {
  const Digest mac = HmacSha256(secret_, std::string(kPurpose) + worker);
  return std::string(kPrefix) + mac.ToHex() + "." + worker;
}

std::optional<http::Caller> WorkerTokens::Check(std::string_view token) const {
  if (!token.starts_with(kPrefix)) return std::nullopt;
  const std::size_t dot = token.find('.', kPrefix.size());
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string name(token.substr(dot + 1));
  if (!SameSecret(For(name), token)) return std::nullopt;
  // Only now is the name one that this coordinator has given a token.
  std::error_code ignored;
  if (!std::filesystem::exists(allowed_dir_ / (name + ".pub"), ignored)) return std::nullopt;
  return http::Caller{.user = "worker " + name, .scope = http::Scope::kWorker};
}

}  // namespace tutti::coordinator
