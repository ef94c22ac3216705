#include "worker/agent/admission.h"

#include <poll.h>

#include "common/curve/keys.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

constexpr int kPollMs = 20;

}  // namespace

Status AllowKey(const std::filesystem::path& allow_dir, const std::string& name,
                const std::string& public_key) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(allow_dir, 0700));
  const std::filesystem::path path = allow_dir / (name + ".pub");
  if (const auto written = curve::LoadKey(path); written && *written == public_key) return {};
  return WriteFileAtomically(path, public_key + "\n");
}

Result<std::string> AwaitPublicKey(const std::filesystem::path& path, Duration limit) {
  const Instant end = MonotonicNow() + limit;
  while (true) {
    auto key = curve::LoadKey(path);
    if (key || key.error().code != ErrorCode::kNotFound) return key;
    if (MonotonicNow() >= end) {
      return Fail(ErrorCode::kTimeout, "the coordinator's public key did not appear", path.string(),
                  "start the coordinator, or copy its curve.pub here");
    }
    poll(nullptr, 0, kPollMs);
  }
}

}  // namespace tutti::agent
