#include "worker/agent/remote_blobs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <nlohmann/json.hpp>

#include "common/base/log.h"
#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr Duration kFetchBackOffMin = std::chrono::milliseconds(100);
constexpr Duration kFetchBackOffMax = std::chrono::seconds(2);

bool MayPass(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout;
}

// Waits, but not past a request to stop.
void Wait(Duration duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, duration, [] { return false; });
}

// What the coordinator says is wrong, as an Error.
Error ErrorOf(const HttpAnswer& answer, const std::string& where) {
  Error error{.code = ErrorCode::kInternal,
              .message = "the coordinator answers " + std::to_string(answer.status),
              .where = where};
  if (answer.status == 401 || answer.status == 403) error.code = ErrorCode::kAuth;
  if (answer.status == 404) error.code = ErrorCode::kNotFound;
  if (answer.status == 409) error.code = ErrorCode::kConflict;
  if (answer.status == 422) error.code = ErrorCode::kInvalid;
  if (answer.status == 503 || answer.status == 429) error.code = ErrorCode::kUnavailable;
  if (answer.status == 507) error.code = ErrorCode::kDiskFull;
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (body.is_object() && body.contains("error") && body["error"].is_object()) {
    const auto message = body["error"].find("message");
    if (message != body["error"].end() && message->is_string()) {
      error.message += ": " + message->get<std::string>();
    }
  }
  return error;
}

// Tries until it works, fails for good, or made no progress for kRetryFor. `attempt` returns how
// far it has come by `progress`.
template <typename Attempt>
Status Retry(std::stop_token stop, const std::uint64_t& progress, Attempt attempt) {
  Duration back_off = kFetchBackOffMin;
  std::uint64_t reached = progress;
  Instant give_up = MonotonicNow() + RemoteBlobs::kRetryFor;
  while (true) {
    Status status = attempt();
    if (status || !MayPass(status.error()) || stop.stop_requested()) return status;
    if (progress != reached) {
      reached = progress;
      back_off = kFetchBackOffMin;
      give_up = MonotonicNow() + RemoteBlobs::kRetryFor;
    }
    if (MonotonicNow() >= give_up) return status;
    Log(kWarning, "blob_retry", {{"error", status.error().ToString()}});
    Wait(back_off, stop);
    back_off = std::min(back_off * 2, kFetchBackOffMax);
  }
}

std::string TargetOf(const Digest& digest) { return "/api/v1/blobs/" + digest.ToString(); }

}  // namespace

void RemoteBlobs::SetTarget(std::string http_url, std::string token, std::string pin) {
  const std::lock_guard lock(mutex_);
  http_url_ = std::move(http_url);
  token_ = std::move(token);
  pin_ = std::move(pin);
}

Result<RemoteBlobs::Target> RemoteBlobs::CurrentTarget() const {
  std::string text;
  std::string pin;
  Target target;
  {
    const std::lock_guard lock(mutex_);
    text = http_url_;
    target.token = token_;
    pin = pin_;
  }
  TUTTI_ASSIGN_OR_RETURN(target.url, HttpUrl::Parse(text));
  target.url.pin = std::move(pin);
  return target;
}

Result<HttpAnswer> RemoteBlobs::Ask(HttpRequest request, const HttpSink& sink,
                                    std::stop_token stop) const {
  TUTTI_ASSIGN_OR_RETURN(const Target target, CurrentTarget());
  request.headers["Authorization"] = "Bearer " + target.token;
  return HttpCall(target.url, request, sink, std::move(stop));
}

Status RemoteBlobs::Fetch(const Digest& digest, Bytes size, const fs::path& path,
                          std::stop_token stop) const {
  return FetchFrom(TargetOf(digest), digest, size, path, std::move(stop));
}

Status RemoteBlobs::FetchFrom(const std::string& target, const Digest& digest, Bytes size,
                              const fs::path& path, std::stop_token stop) const {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) return Fail(ErrnoError("cannot create", path.string(), errno));
  Sha256 sha;
  std::uint64_t received = 0;
  const auto wanted = static_cast<std::uint64_t>(size.count);
  const HttpSink sink = [&](std::span<const std::byte> data) -> Status {
    if (received + data.size() > wanted) {
      return Fail(ErrorCode::kInvalid, "the blob is longer than it should be", digest.ToString());
    }
    TUTTI_RETURN_IF_ERROR(WriteAll(file.get(), data, path.string()));
    sha.Update(data);
    received += data.size();
    return {};
  };
  TUTTI_RETURN_IF_ERROR(Retry(stop, received, [&]() -> Status {
    HttpRequest request{.method = "GET", .target = target, .headers = {}, .body_file = {}};
    // Goes on where the line broke.
    if (received > 0) {
      request.headers["Range"] = "bytes=" + std::to_string(received) + "-";
      request.sink_status = 206;
    }
    if (received == wanted && wanted > 0) return {};
    const int expected = request.sink_status;
    TUTTI_ASSIGN_OR_RETURN(const HttpAnswer answer, Ask(std::move(request), sink, stop));
    if (answer.status != expected) return Fail(ErrorOf(answer, digest.ToString()));
    return {};
  }));
  if (received != wanted || sha.Finish() != digest) {
    return Fail(ErrorCode::kInvalid, "the coordinator sent other bytes than the file's",
                digest.ToString(), "it is damaged there: if it is a job's input, submit it again");
  }
  if (fdatasync(file.get()) != 0) return Fail(ErrnoError("cannot sync", path.string(), errno));
  return {};
}

Status RemoteBlobs::StoreOnce(const fs::path& file, const Digest& digest,
                              std::stop_token stop) const {
  const HttpRequest head{
      .method = "HEAD", .target = TargetOf(digest), .headers = {}, .body_file = {}};
  TUTTI_ASSIGN_OR_RETURN(const HttpAnswer there, Ask(head, {}, stop));
  if (there.status == 200) return {};
  TUTTI_ASSIGN_OR_RETURN(const Target target, CurrentTarget());
  HttpRequest put{.method = "PUT", .target = TargetOf(digest), .headers = {}, .body_file = {}};
  if (target.url.IsLoopback()) {
    put.headers["X-Tutti-Link"] = file.string();
    TUTTI_ASSIGN_OR_RETURN(const HttpAnswer linked, Ask(put, {}, stop));
    if (linked.status / 100 == 2) return {};
    const Error error = ErrorOf(linked, file.string());
    if (MayPass(error) || error.code == ErrorCode::kDiskFull) return Fail(error);
    Log(kInfo, "blob_link_refused", {{"error", error.ToString()}});  // a forwarded port, say
  }
  put.headers.erase("X-Tutti-Link");
  put.body_file = file;
  TUTTI_ASSIGN_OR_RETURN(const HttpAnswer sent, Ask(put, {}, stop));
  if (sent.status / 100 != 2) return Fail(ErrorOf(sent, file.string()));
  return {};
}

Status RemoteBlobs::Store(const fs::path& file, const Digest& digest, std::stop_token stop) const {
  const std::uint64_t no_progress = 0;
  return Retry(stop, no_progress, [&] { return StoreOnce(file, digest, stop); });
}

Status RemoteBlobs::Send(const fs::path& file, const Digest& digest, const std::string& target,
                         std::stop_token stop) const {
  const std::uint64_t no_progress = 0;
  return Retry(stop, no_progress, [&]() -> Status {
    const HttpRequest put{.method = "PUT",
                          .target = target,
                          .headers = {{"X-Tutti-Digest", digest.ToString()}},
                          .body_file = file};
    TUTTI_ASSIGN_OR_RETURN(const HttpAnswer sent, Ask(put, {}, stop));
    if (sent.status / 100 != 2) return Fail(ErrorOf(sent, file.string()));
    return {};
  });
}

}  // namespace tutti::agent
