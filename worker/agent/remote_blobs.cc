#include "worker/agent/remote_blobs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <nlohmann/json.hpp>

#include "common/base/log.h"
#include "common/file/file.h"
#include "common/httpclient/stop_descriptor.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr Duration kSilenceMax = std::chrono::seconds(30);  // neither a byte in nor out
constexpr Bytes kErrorMax{1 << 20};
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
Error ErrorOf(const httpclient::Response& answer, const std::string& where) {
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
  TUTTI_ASSIGN_OR_RETURN(target.url, httpclient::ParseUrl(text));
  target.url.trust.pin = std::move(pin);
  return target;
}

Result<std::unique_ptr<httpclient::Incoming>> RemoteBlobs::Open(httpclient::Request request) const {
  TUTTI_ASSIGN_OR_RETURN(const Target target, CurrentTarget());
  request.headers.emplace_back("Authorization", "Bearer " + target.token);
  request.timeout = kSilenceMax;
  return httpclient::Open(target.url, request);
}

Result<httpclient::Response> RemoteBlobs::Send(httpclient::Request request) const {
  TUTTI_ASSIGN_OR_RETURN(const auto incoming, Open(std::move(request)));
  httpclient::Response answer = incoming->head();
  TUTTI_ASSIGN_OR_RETURN(answer.body, incoming->ReadAll(kSilenceMax, kErrorMax));
  return answer;
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
  const auto take = [&](std::string_view piece) -> Status {
    if (received + piece.size() > wanted) {
      return Fail(ErrorCode::kInvalid, "the blob is longer than it should be", digest.ToString());
    }
    const auto data = std::as_bytes(std::span(piece));
    TUTTI_RETURN_IF_ERROR(WriteAll(file.get(), data, path.string()));
    sha.Update(data);
    received += data.size();
    return {};
  };
  const httpclient::StopDescriptor stopped(stop);
  TUTTI_RETURN_IF_ERROR(Retry(stop, received, [&]() -> Status {
    if (received == wanted && wanted > 0) return {};
    return Receive(target, received, stopped.fd(), take);
  }));
  if (received != wanted || sha.Finish() != digest) {
    return Fail(ErrorCode::kInvalid, "the coordinator sent other bytes than the file's",
                digest.ToString(), "it is damaged there: if it is a job's input, submit it again");
  }
  if (fdatasync(file.get()) != 0) return Fail(ErrnoError("cannot sync", path.string(), errno));
  return {};
}

Status RemoteBlobs::Receive(const std::string& target, std::uint64_t offset, int stop_fd,
                            const std::function<Status(std::string_view piece)>& take) const {
  httpclient::Request request{.target = target, .stop_fd = stop_fd};
  // Goes on where the line broke.
  if (offset > 0) request.headers = {{"Range", "bytes=" + std::to_string(offset) + "-"}};
  TUTTI_ASSIGN_OR_RETURN(const auto incoming, Open(std::move(request)));
  if (incoming->head().status != (offset > 0 ? 206 : 200)) {
    httpclient::Response answer = incoming->head();
    answer.body = incoming->ReadAll(kSilenceMax, kErrorMax).value_or("");
    return Fail(ErrorOf(answer, target));
  }
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const std::string piece, incoming->Read(kSilenceMax));
    if (piece.empty()) return {};
    TUTTI_RETURN_IF_ERROR(take(piece));
  }
}

Status RemoteBlobs::StoreOnce(const fs::path& file, const Digest& digest, int stop_fd) const {
  TUTTI_ASSIGN_OR_RETURN(const httpclient::Response there,
                         Send({.method = "HEAD", .target = TargetOf(digest), .stop_fd = stop_fd}));
  if (there.status == 200) return {};
  TUTTI_ASSIGN_OR_RETURN(const Target target, CurrentTarget());
  if (httpclient::IsLoopback(target.url)) {
    TUTTI_ASSIGN_OR_RETURN(const httpclient::Response linked,
                           Send({.method = "PUT",
                                 .target = TargetOf(digest),
                                 .headers = {{"X-Tutti-Link", file.string()}},
                                 .stop_fd = stop_fd}));
    if (linked.status / 100 == 2) return {};
    const Error error = ErrorOf(linked, file.string());
    if (MayPass(error) || error.code == ErrorCode::kDiskFull) return Fail(error);
    Log(kInfo, "blob_link_refused", {{"error", error.ToString()}});  // a forwarded port, say
  }
  TUTTI_ASSIGN_OR_RETURN(
      const httpclient::Response sent,
      Send({.method = "PUT", .target = TargetOf(digest), .body_file = file, .stop_fd = stop_fd}));
  if (sent.status / 100 != 2) return Fail(ErrorOf(sent, file.string()));
  return {};
}

Status RemoteBlobs::Store(const fs::path& file, const Digest& digest, std::stop_token stop) const {
  const std::uint64_t no_progress = 0;
  const httpclient::StopDescriptor stopped(stop);
  return Retry(stop, no_progress, [&] { return StoreOnce(file, digest, stopped.fd()); });
}

Status RemoteBlobs::Send(const fs::path& file, const Digest& digest, const std::string& target,
                         std::stop_token stop) const {
  const std::uint64_t no_progress = 0;
  const httpclient::StopDescriptor stopped(stop);
  return Retry(stop, no_progress, [&]() -> Status {
    TUTTI_ASSIGN_OR_RETURN(const httpclient::Response sent,
                           Send({.method = "PUT",
                                 .target = target,
                                 .headers = {{"X-Tutti-Digest", digest.ToString()}},
                                 .body_file = file,
                                 .stop_fd = stopped.fd()}));
    if (sent.status / 100 != 2) return Fail(ErrorOf(sent, file.string()));
    return {};
  });
}

}  // namespace tutti::agent
