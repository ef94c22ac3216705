// Signatures of webhooks as standardwebhooks.com has them: receivers check them by libraries that
// there are for most languages. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti::webhooks {

// "whsec_" and 32 bytes in base64: HMAC-SHA256 of `whose` under the cluster's secret, so that it is
// kept nowhere and outlives a restart.
std::string SecretFor(std::string_view cluster_secret, std::string_view whose);

// The webhook-signature header: "v1," + base64(HMAC-SHA256(secret, "ID.SECONDS.BODY")).
// kInvalid for what is no secret.
Result<std::string> Signature(std::string_view secret, std::string_view id, std::int64_t seconds,
                              std::string_view body);

}  // namespace tutti::webhooks
