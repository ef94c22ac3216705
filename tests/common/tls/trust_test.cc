#include "common/tls/trust.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>

#include "tests/common/tls/scratch.h"

namespace tutti::tls {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Connection = std::unique_ptr<SSL, decltype(&SSL_free)>;

Connection NewConnection(const Context& context) { return {SSL_new(context.get()), &SSL_free}; }

// A handshake in memory: both ends take turns until one fails or both are done.
Status Shake(SSL& client, const Context& server_context, std::string* version = nullptr) {
  const Connection server = NewConnection(server_context);
  BIO* near = nullptr;
  BIO* far = nullptr;
  BIO_new_bio_pair(&near, 0, &far, 0);
  SSL_set_bio(&client, near, near);
  SSL_set_bio(server.get(), far, far);
  SSL_set_connect_state(&client);
  SSL_set_accept_state(server.get());
  for (int turn = 0; turn < 20; ++turn) {
    ERR_clear_error();
    const int code = SSL_do_handshake(&client);
    if (code != 1 && SSL_get_error(&client, code) != SSL_ERROR_WANT_READ) {
      const char* reason = ERR_reason_error_string(ERR_peek_last_error());
      return Fail(HandshakeError(client, reason != nullptr ? reason : "", "there:1"));
    }
    ERR_clear_error();
    const int other = SSL_do_handshake(server.get());
    if (code == 1 && other == 1) {
      if (version != nullptr) *version = SSL_get_version(&client);
      return {};
    }
  }
  return Fail(ErrorCode::kInternal, "no end of the handshake");
}

Status Try(const Identity& server, const Trust& trust, const std::string& host) {
  TUTTI_ASSIGN_OR_RETURN(const Context context, ClientContext(trust));
  const Connection client = NewConnection(context);
  TUTTI_RETURN_IF_ERROR(ExpectHost(*client, host));
  return Shake(*client, server.context);
}

class TrustTest : public ScratchTest {
 protected:
  Identity Make(const char* folder, std::vector<std::string> names) {
    auto made = LoadOrMakeIdentity(dir_ / folder, names);
    EXPECT_TRUE(made) << made.error().ToString();
    return made ? *made : Identity{};
  }
};

TEST_F(TrustTest, ThePinnedCertificateIsBelievedUnderAnyName) {
  const Identity server = Make("a", {"a.example"});
  EXPECT_TRUE(Try(server, {.pin = server.pin}, "127.0.0.1"));
  EXPECT_TRUE(Try(server, {.pin = server.pin}, "b.example"));
}

TEST_F(TrustTest, AnotherCertificateThanThePinnedIsRefusedAndBothPinsAreShown) {
  const Identity server = Make("a", {"a.example"});
  const Identity other = Make("b", {"a.example"});
  const Status status = Try(server, {.pin = other.pin}, "a.example");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kAuth);
  EXPECT_EQ(status.error().where, "there:1");
  EXPECT_THAT(status.error().message, AllOf(HasSubstr(server.pin), HasSubstr(other.pin)));
}

// Also when its authority is trusted: a pin is stricter.
TEST_F(TrustTest, APinCountsMoreThanAnAuthority) {
  const Identity server = Make("a", {"a.example"});
  const Identity other = Make("b", {"a.example"});
  EXPECT_FALSE(Try(server, {.pin = other.pin, .ca_file = dir_ / "a/cert.pem"}, "a.example"));
}

TEST_F(TrustTest, AnAuthoritysCertificateMustBeForTheHost) {
  const Identity server = Make("a", {"a.example", "127.0.0.1", "::1"});
  const Trust trust{.ca_file = dir_ / "a/cert.pem"};
  for (const char* host : {"a.example", "127.0.0.1", "::1"}) {
    const Status status = Try(server, trust, host);
    EXPECT_TRUE(status) << host << ": " << status.error().ToString();
  }
  for (const char* host : {"b.example", "127.0.0.2", "::2"}) {
    const Status status = Try(server, trust, host);
    ASSERT_FALSE(status) << host;
    EXPECT_EQ(status.error().code, ErrorCode::kAuth);
    EXPECT_THAT(status.error().message, AllOf(HasSubstr(host), HasSubstr("a.example, 127.0.0.1")));
  }
}

TEST_F(TrustTest, WithoutPinOrAuthorityASelfSignedCertificateIsRefusedWithTheWayOut) {
  const Identity server = Make("a", {"a.example"});
  const Identity other = Make("b", {"a.example"});
  for (const Trust& trust : {Trust{}, Trust{.ca_file = dir_ / "b/cert.pem"}}) {
    const Status status = Try(server, trust, "a.example");
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kAuth);
    EXPECT_THAT(status.error().ToString(),
                AllOf(HasSubstr(server.pin), HasSubstr("TUTTI_PIN"), HasSubstr("TUTTI_CA_FILE")));
  }
}

// An Identity refuses to load it; a server of others may show one.
TEST_F(TrustTest, AnExpiredCertificateIsRefusedUnlessItIsPinned) {
  WriteCertificate(dir_, {.names = {"DNS:a.example"}, .days_from = -20, .days_until = -10});
  const Context server(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  ASSERT_EQ(
      SSL_CTX_use_certificate_file(server.get(), (dir_ / "cert.pem").c_str(), SSL_FILETYPE_PEM), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(server.get(), (dir_ / "key.pem").c_str(), SSL_FILETYPE_PEM),
            1);
  const std::string pin = PinOf(*SSL_CTX_get0_certificate(server.get()));
  const Status refused = Try({.context = server}, {.ca_file = dir_ / "cert.pem"}, "a.example");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("expired"));
  EXPECT_TRUE(Try({.context = server}, {.pin = pin}, "a.example"));
}

TEST_F(TrustTest, OldVersionsOfTlsAreRefusedOnBothSides) {
  const Identity server = Make("a", {"a.example"});
  const auto context = ClientContext({.pin = server.pin});
  ASSERT_TRUE(context);
  const Connection modern = NewConnection(*context);
  std::string version;
  ASSERT_TRUE(Shake(*modern, server.context, &version));
  EXPECT_EQ(version, "TLSv1.3");

  SSL_CTX_set_min_proto_version(context->get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context->get(), TLS1_1_VERSION);
  SSL_CTX_set_security_level(context->get(), 0);
  const Connection old = NewConnection(*context);
  const Status status = Shake(*old, server.context);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
}

TEST_F(TrustTest, WrongSettingsAreSaidBeforeAnythingIsSent) {
  const auto pin = ClientContext({.pin = "sha256:12"});
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code, ErrorCode::kInvalid);
  const auto authority = ClientContext({.ca_file = dir_ / "none.pem"});
  ASSERT_FALSE(authority);
  EXPECT_EQ(authority.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(authority.error().where, dir_ / "none.pem");
}

}  // namespace
}  // namespace tutti::tls
