#include "scheduler/webhooks/signature.h"

#include <gtest/gtest.h>

namespace tutti::webhooks {
namespace {

// The example of github.com/standard-webhooks/standard-webhooks.
TEST(Signature, IsThatOfStandardWebhooks) {
  const auto signature = Signature("whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf",
                                   1731705121, R"({"event_type":"ping","data":{"success":true}})");
  ASSERT_TRUE(signature);
  EXPECT_EQ(*signature, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
}

TEST(Signature, ASecretIsOfOneClusterAndOneWebhook) {
  const std::string secret = SecretFor("cluster", "webhook:h-1");
  EXPECT_EQ(secret.size(), std::string("whsec_").size() + 44);
  EXPECT_EQ(secret, SecretFor("cluster", "webhook:h-1"));
  EXPECT_NE(secret, SecretFor("cluster", "webhook:h-2"));
  EXPECT_NE(secret, SecretFor("other", "webhook:h-1"));
  EXPECT_TRUE(Signature(secret, "id", 1, "body"));
}

TEST(Signature, NeedsASecret) {
  for (const char* secret : {"", "plJ3nmyCDGBKInavdOK15jsl", "whsec_", "whsec_???"}) {
    EXPECT_FALSE(Signature(secret, "id", 1, "body")) << secret;
  }
}

}  // namespace
}  // namespace tutti::webhooks
