#include "worker/agent/join.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "common/base/log.h"
#include "common/curve/keys.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "common/httpclient/http.h"
#include "common/version/version.h"
#include "common/wire/protocol.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Duration kAskFor = std::chrono::seconds(60);
constexpr Duration kAgainAfter = std::chrono::seconds(1);
constexpr const char* kUsedFile = "joined.sha256";  // of the string

std::string TextOf(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// What the coordinator says is wrong; asking again helps only where it could not store anything.
Error RefusalOf(const httpclient::Response& answer, const std::string& where) {
  Error error{.code = ErrorCode::kInvalid,
              .message = "the coordinator answers " + std::to_string(answer.status),
              .where = where,
              .hint = {}};
  if (answer.status == 403) error.code = ErrorCode::kAuth;
  if (answer.status == 409) error.code = ErrorCode::kConflict;
  if (answer.status == 404) error.hint = "it is of an older version: install the same everywhere";
  if (answer.status >= 500 || answer.status == 429) error.code = ErrorCode::kUnavailable;
  const json body = json::parse(answer.body, nullptr, false);
  if (body.is_object() && body.contains("error") && body["error"].is_object()) {
    const json& told = body["error"];
    if (const std::string text = TextOf(told, "message"); !text.empty()) error.message = text;
    if (const std::string text = TextOf(told, "hint"); !text.empty()) error.hint = text;
  }
  return error;
}

Status AskOnce(const JoinString& join, const json& claim) {
  TUTTI_ASSIGN_OR_RETURN(httpclient::Url url, httpclient::ParseUrl(join.http));
  url.trust.pin = join.pin;
  TUTTI_ASSIGN_OR_RETURN(const httpclient::Response answer,
                         httpclient::Send(url, {.method = "POST",
                                                .target = "/api/v1/workers/enroll",
                                                .headers = {{"Content-Type", "application/json"}},
                                                .body = claim.dump()}));
  if (answer.status / 100 == 2) return {};
  return Fail(RefusalOf(answer, join.http));
}

Status Ask(const JoinString& join, const json& claim) {
  const Instant give_up = MonotonicNow() + kAskFor;
  bool told = false;
  while (true) {
    Status asked = AskOnce(join, claim);
    const bool may_pass = !asked && (asked.error().code == ErrorCode::kUnavailable ||
                                     asked.error().code == ErrorCode::kTimeout);
    if (!may_pass) return asked;
    if (MonotonicNow() >= give_up) {
      Error error = asked.error();
      error.hint = "is the coordinator up, and does a firewall let this machine reach it?";
      return Fail(std::move(error));
    }
    if (!std::exchange(told, true)) {
      Log(kWarning, "coordinator_unreachable", {{"error", asked.error().ToString()}});
    }
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable never;
    never.wait_for(lock, kAgainAfter, [] { return false; });
  }
}

std::vector<std::string> TextsOf(const std::vector<fs::path>& paths) {
  std::vector<std::string> texts;
  for (const fs::path& path : paths) texts.push_back(path.string());
  return texts;
}

// As --config reads it.
json OptionsOf(const Settings& settings) {
  json options = {{"name", settings.name},
                  {"coordinator", settings.coordinator},
                  {"server-key", settings.server_key.string()},
                  {"slots", settings.slots},
                  {"cache-max", std::to_string(settings.cache_max_bytes)}};
  if (!settings.address.empty()) options["address"] = settings.address;
  if (!settings.data_roots.empty()) options["data-root"] = TextsOf(settings.data_roots);
  std::vector<std::string> labels;
  for (const auto& [key, value] : settings.labels) labels.push_back(key + "=" + value);
  if (!labels.empty()) options["label"] = labels;
  if (settings.jobs_dir != settings.dir / "jobs") options["jobs-dir"] = settings.jobs_dir.string();
  return options;
}

// A directory has the keys of one worker in one cluster.
Status CheckDirectory(const Settings& settings) {
  const auto key = curve::LoadKey(JoinedKey(settings.dir));
  if (!key || *key == settings.join->key) return {};
  return Fail(ErrorCode::kConflict, "this directory is that of a worker of another cluster",
              settings.dir.string(), "give another --dir, or remove this one");
}

}  // namespace

fs::path JoinedFile(const fs::path& dir) { return dir / "worker.json"; }
fs::path JoinedKey(const fs::path& dir) { return dir / "coordinator.pub"; }

Status Join(const Settings& settings) {
  const JoinString& join = *settings.join;
  TUTTI_RETURN_IF_ERROR(MakeDirectories(settings.dir, 0700));
  TUTTI_RETURN_IF_ERROR(CheckDirectory(settings));
  const std::string used = Sha256Of(join.secret).ToString() + "\n";
  const auto before = ReadFile(settings.dir / kUsedFile, Bytes{4096});
  if (!before || *before != used) {
    TUTTI_ASSIGN_OR_RETURN(const curve::KeyPair keys, curve::LoadOrMakeKeyPair(settings.dir));
    TUTTI_RETURN_IF_ERROR(Ask(join, {{"secret", join.secret},
                                     {"name", settings.name},
                                     {"public_key", keys.public_key},
                                     {"protocol", wire::kProtocol},
                                     {"version", std::string(Version())}}));
    Log(kInfo, "joined", {{"coordinator", join.zmq}, {"name", settings.name}});
  }
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(JoinedKey(settings.dir), join.key + "\n"));
  TUTTI_RETURN_IF_ERROR(
      WriteFileAtomically(JoinedFile(settings.dir), OptionsOf(settings).dump(2) + "\n"));
  return WriteFileAtomically(settings.dir / kUsedFile, used, {.mode = 0600});
}

}  // namespace tutti::agent
