#include "scheduler/coordinator/enrollments.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/base/log.h"
#include "common/curve/keys.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "common/join/join_string.h"
#include "scheduler/coordinator/wire_inputs.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kSecretBytes = 24;
constexpr std::size_t kSecretMax = 256;
constexpr std::int64_t kRememberedMs = std::int64_t{7} * 24 * 3600 * 1000;  // after it expired

constexpr const char* kAnother = "make another with `tutti worker token` on the coordinator";

Result<std::string> NewSecret() {
  std::string bytes(kSecretBytes, '\0');
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return Fail(ErrnoError("no random bytes", "getrandom", errno));
  }
  return EncodeBase64Url(bytes);
}

}  // namespace

struct Enrollments::Record {
  WallTime expires;
  std::string name;      // it is for; "" = any
  std::string used_by;   // "" = nobody yet
  std::string used_key;  // public
};

fs::path Enrollments::PathOf(const std::string& secret) const {
  return joins_ / (Sha256Of(secret).ToHex() + ".json");
}

Result<Enrollments::Record> Enrollments::Read(const fs::path& path) const {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, Bytes{4096}));
  const json object = json::parse(text, nullptr, false);
  Record record;
  try {
    record.expires = WallTime{object.at("expires_at_unix_ms").get<std::int64_t>()};
    record.name = object.at("name").get<std::string>();
    record.used_by = object.at("used_by").get<std::string>();
    record.used_key = object.at("used_key").get<std::string>();
  } catch (const json::exception& error) {
    return Fail(ErrorCode::kIo, std::string("is damaged: ") + error.what(), path.string());
  }
  return record;
}

Status Enrollments::Write(const fs::path& path, const Record& record) const {
  const json object = {{"expires_at_unix_ms", record.expires.unix_ms},
                       {"name", record.name},
                       {"used_by", record.used_by},
                       {"used_key", record.used_key}};
  return WriteFileAtomically(path, object.dump() + "\n", {.mode = 0600});
}

void Enrollments::Sweep(WallTime now) const {
  std::error_code error;
  std::vector<fs::path> old;
  for (fs::directory_iterator entry(joins_, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto record = Read(entry->path());
    if (record && record->expires.unix_ms + kRememberedMs < now.unix_ms) {
      old.push_back(entry->path());
    }
  }
  for (const fs::path& path : old) fs::remove(path, error);
}

Result<JoinSecret> Enrollments::Make(Duration lifetime, const std::string& name, WallTime now) {
  if (!name.empty() && !IsWorkerName(name)) return Fail(NoWorkerName());
  TUTTI_RETURN_IF_ERROR(MakeDirectories(joins_, 0700));
  Sweep(now);
  JoinSecret made;
  TUTTI_ASSIGN_OR_RETURN(made.secret, NewSecret());
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(lifetime).count();
  made.expires = WallTime{now.unix_ms + ms};
  TUTTI_RETURN_IF_ERROR(Write(PathOf(made.secret), {made.expires, name, "", ""}));
  return made;
}

Status Enrollments::Enroll(const JoinClaim& claim, WallTime now) {
  if (!IsWorkerName(claim.name)) return Fail(NoWorkerName());
  if (!curve::DecodeKey(claim.public_key)) {
    return Fail(ErrorCode::kInvalid, "not a CURVE public key", "public_key");
  }
  const fs::path path = PathOf(claim.secret.substr(0, kSecretMax));
  auto record = Read(path);
  if (!record) {
    if (record.error().code != ErrorCode::kNotFound) return Fail(std::move(record).error());
    return Fail(ErrorCode::kAuth, "the join string's secret is not one of this coordinator's",
                "secret", kAnother);
  }
  const bool again = record->used_by == claim.name && record->used_key == claim.public_key;
  if (!record->used_by.empty() && !again) {
    return Fail(ErrorCode::kAuth,
                "the join string was used already, by worker '" + record->used_by + "'", "secret",
                std::string("it works once: ") + kAnother);
  }
  if (record->expires <= now) {
    return Fail(ErrorCode::kAuth, "the join string expired at " + record->expires.ToRfc3339(),
                "secret", kAnother);
  }
  if (!record->name.empty() && record->name != claim.name) {
    return Fail(ErrorCode::kAuth, "the join string is for a worker named '" + record->name + "'",
                "name", "join with --name " + record->name);
  }
  const fs::path key_path = allowed_ / (claim.name + ".pub");
  const auto taken = curve::LoadKey(key_path);
  if (taken && *taken != claim.public_key) {
    return Fail(
        ErrorCode::kConflict, "there is another worker named '" + claim.name + "'", "name",
        "choose another --name; or, if that one is gone: tutti worker remove " + claim.name);
  }
  // Used first: a crash in between is mended by the same claim, and no other can slip in.
  record->used_by = claim.name;
  record->used_key = claim.public_key;
  TUTTI_RETURN_IF_ERROR(Write(path, *record));
  TUTTI_RETURN_IF_ERROR(MakeDirectories(allowed_));
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(key_path, claim.public_key + "\n"));
  Log(kInfo, "worker_enrolled", {{"worker", claim.name}, {"key", claim.public_key}});
  return {};
}

// The string it came with may not bring it back: with no key it is used, whoever claims.
void Enrollments::ForgetUses(const std::string& name) const {
  std::error_code error;
  std::vector<fs::path> all;
  for (fs::directory_iterator entry(joins_, error), end; !error && entry != end;
       entry.increment(error)) {
    all.push_back(entry->path());
  }
  for (const fs::path& path : all) {
    auto record = Read(path);
    if (!record || record->used_by != name) continue;
    record->used_key.clear();
    if (const Status written = Write(path, *record); !written) {
      Log(kError, "join_secret_not_ended", {{"error", written.error().ToString()}});
    }
  }
}

Status Enrollments::Remove(const std::string& name) {
  const fs::path path = allowed_ / (name + ".pub");
  if (!IsWorkerName(name) || ::unlink(path.c_str()) != 0) {
    if (!IsWorkerName(name) || errno == ENOENT) {
      return Fail(ErrorCode::kNotFound, "no worker named '" + name + "' may connect", {},
                  "'tutti worker list' shows those there are");
    }
    return Fail(ErrnoError("cannot remove", path.string(), errno));
  }
  TUTTI_RETURN_IF_ERROR(SyncDirectory(allowed_));
  ForgetUses(name);
  Log(kInfo, "worker_removed", {{"worker", name}});
  return {};
}

}  // namespace tutti::coordinator
