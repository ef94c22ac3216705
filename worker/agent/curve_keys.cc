#include "worker/agent/curve_keys.h"

#include <poll.h>
#include <sys/stat.h>
#include <zmq.h>

#include <array>

#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kKeyChars = 40;
constexpr Bytes kKeyFileMax{4096};
constexpr int kPollMs = 20;

Result<std::string> ReadKey(const fs::path& path) {
  TUTTI_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kKeyFileMax));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  std::array<std::uint8_t, 32> decoded{};
  if (text.size() != kKeyChars || zmq_z85_decode(decoded.data(), text.c_str()) == nullptr) {
    return Fail(ErrorCode::kInvalid, "not a key (40 characters of Z85)", path.string(),
                "remove it and start again: a new one is made");
  }
  return text;
}

}  // namespace

Result<CurveKeys> LoadOrMakeKeys(const fs::path& directory) {
  const fs::path secret_path = directory / "curve.key", open_path = directory / "curve.pub";
  CurveKeys keys;
  if (fs::exists(secret_path)) {
    TUTTI_ASSIGN_OR_RETURN(keys.secret, ReadKey(secret_path));
    std::array<char, kKeyChars + 1> open{};
    if (zmq_curve_public(open.data(), keys.secret.c_str()) != 0) {
      return Fail(ErrorCode::kInternal, "ZeroMQ has no CURVE", "",
                  "install libzmq5 with libsodium");
    }
    keys.open = open.data();
  } else {
    std::array<char, kKeyChars + 1> open{}, secret{};
    if (zmq_curve_keypair(open.data(), secret.data()) != 0) {
      return Fail(ErrorCode::kInternal, "ZeroMQ has no CURVE", "",
                  "install libzmq5 with libsodium");
    }
    keys = {.secret = secret.data(), .open = open.data()};
    TUTTI_RETURN_IF_ERROR(WriteFileAtomically(secret_path, keys.secret + "\n", {.mode = 0600}));
  }
  if (const auto written = ReadKey(open_path); !written || *written != keys.open) {
    TUTTI_RETURN_IF_ERROR(WriteFileAtomically(open_path, keys.open + "\n"));
  }
  return keys;
}

Status AllowKey(const fs::path& allow_dir, const std::string& name, const CurveKeys& keys) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(allow_dir, 0700));
  const fs::path path = allow_dir / (name + ".pub");
  if (const auto written = ReadKey(path); written && *written == keys.open) return {};
  return WriteFileAtomically(path, keys.open + "\n");
}

Result<std::string> AwaitPublicKey(const fs::path& path, Duration limit) {
  const Instant end = MonotonicNow() + limit;
  while (true) {
    auto key = ReadKey(path);
    if (key || key.error().code != ErrorCode::kNotFound) return key;
    if (MonotonicNow() >= end) {
      return Fail(ErrorCode::kTimeout, "the coordinator's public key did not appear", path.string(),
                  "start the coordinator, or copy its curve.pub here");
    }
    poll(nullptr, 0, kPollMs);
  }
}

}  // namespace tutti::agent
