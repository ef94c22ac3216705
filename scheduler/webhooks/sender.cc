#include "scheduler/webhooks/sender.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "common/base/check.h"
#include "common/httpclient/http.h"
#include "scheduler/webhooks/resolve.h"
#include "scheduler/webhooks/signature.h"

namespace tutti::webhooks {
namespace {

constexpr int kClusterThreads = 2;
constexpr int kJobThreads = 4;
constexpr std::size_t kUrlMax = 2048;
constexpr double kPauseMax = 600;  // seconds
constexpr Duration kReadPatience = std::chrono::seconds(1);
constexpr std::size_t kSaidMax = 200;  // of an answer that is an error

// An url as the client has it: host and port, then what is asked there.
struct Address {
  httpclient::Url url;
  std::string target;
};

Result<Address> AddressOf(const std::string& text) {
  if (text.size() > kUrlMax) {
    return Fail(ErrorCode::kInvalid, "the address is longer than " + std::to_string(kUrlMax));
  }
  const std::size_t scheme = text.find("://");
  const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t path = std::min(text.find_first_of("/?#", host), text.size());
  Address address;
  TUTTI_ASSIGN_OR_RETURN(address.url, httpclient::ParseUrl(text.substr(0, path)));
  address.target = text.substr(path, text.find('#', path) - path);
  const bool plain = std::all_of(address.target.begin(), address.target.end(),
                                 [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain) return Fail(ErrorCode::kInvalid, "this is no plain address", text);
  if (!address.target.starts_with('/')) address.target.insert(0, "/");
  return address;
}

bool IsWorthAnother(int status) {
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

// One line of printable text.
std::string Printable(std::string text) {
  if (text.size() > kSaidMax) text.resize(kSaidMax);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, ' ');
  return text;
}

}  // namespace

Status CheckUrl(const std::string& url, const Networks& allowed) {
  TUTTI_ASSIGN_OR_RETURN(const Address address, AddressOf(url));
  return CheckLiteral(address.url.host, allowed);
}

std::string ReceiverOf(const std::string& url) {
  const auto address = AddressOf(url);
  return address ? address->url.host + ":" + address->url.port : url;
}

Duration PauseAfter(int tries, const std::string& id) {
  const double seconds = std::min(kPauseMax, std::exp2(std::clamp(tries - 1, 0, 30)));
  constexpr std::size_t kParts = 1000;
  const double chance = static_cast<double>(std::hash<std::string>()(id) % kParts) / kParts;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds * (1 - chance / 5)));
}

Sender::Sender(SenderOptions options)
    : options_(options), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  TUTTI_CHECK(stop_);
  for (int i = 0; i < kClusterThreads + kJobThreads; ++i) {
    threads_.emplace_back([this, of_jobs = i >= kClusterThreads] { Run(of_jobs); });
  }
}

Sender::~Sender() { Stop(); }

void Sender::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ::eventfd_write(stop_.get(), 1);
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Sender::Add(Delivery delivery) {
  Instant due = MonotonicNow();
  if (delivery.tries > 0) {
    const auto pause = std::chrono::duration_cast<Duration>(
        PauseAfter(delivery.tries, delivery.id) * options_.pause_factor);
    due = due + pause;
  }
  {
    const std::lock_guard lock(mutex_);
    auto& lanes = delivery.of_job ? job_lanes_ : cluster_lanes_;
    Lane& lane = lanes[delivery.receiver];
    lane.emplace(due, std::move(delivery));
  }
  wake_.notify_all();
}

void Sender::Forget(const std::string& receiver) {
  const std::lock_guard lock(mutex_);
  cluster_lanes_.erase(receiver);
  job_lanes_.erase(receiver);
  if (busy_.contains(receiver)) forgotten_.insert(receiver);
}

void Sender::Run(bool of_jobs) {
  auto& lanes = of_jobs ? job_lanes_ : cluster_lanes_;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    auto next = lanes.end();
    for (auto lane = lanes.begin(); lane != lanes.end(); ++lane) {
      if (busy_.contains(lane->first)) continue;
      if (next == lanes.end() || lane->second.begin()->first < next->second.begin()->first) {
        next = lane;
      }
    }
    if (next == lanes.end()) {
      wake_.wait(lock);
      continue;
    }
    if (const Duration early = next->second.begin()->first - MonotonicNow();
        early > Duration::zero()) {
      wake_.wait_for(lock, early);
      continue;
    }
    Delivery delivery = std::move(next->second.begin()->second);
    next->second.erase(next->second.begin());
    if (next->second.empty()) lanes.erase(next);
    busy_.insert(delivery.receiver);
    lock.unlock();
    Tried tried = Try(delivery);
    lock.lock();
    busy_.erase(delivery.receiver);
    wake_.notify_all();
    if (stopping_ || forgotten_.erase(delivery.receiver) > 0) continue;
    lock.unlock();
    Settle(std::move(delivery), std::move(tried));
    lock.lock();
  }
}

// Told first: what is tried again may be tried at once.
void Sender::Settle(Delivery delivery, Tried tried) {
  ++delivery.tries;
  if (delivery.once || delivery.tries >= kTriesMax) tried.is_over = true;
  if (delivery.tried) delivery.tried(delivery, tried);
  if (!tried.is_over) Add(std::move(delivery));
}

Tried Sender::Try(const Delivery& delivery) const {
  const Instant start = MonotonicNow();
  std::string said;
  const Result<int> status = Post(delivery, start + options_.deadline, said);
  Tried tried{.at = WallNow(), .took = MonotonicNow() - start};
  if (!status) {
    tried.error = status.error().ToString();
    const ErrorCode code = status.error().code;
    tried.is_over = code == ErrorCode::kUnsupported || code == ErrorCode::kInvalid;
    return tried;
  }
  tried.status = *status;
  tried.is_over = !IsWorthAnother(*status);
  if (*status >= 200 && *status < 300) return tried;
  tried.error = "it answered " + std::to_string(*status);
  if (*status >= 300 && *status < 400) tried.error += " (redirects are not followed)";
  if (!said.empty()) tried.error += ": " + said;
  return tried;
}

// The status of the answer; what it said, when that is an error.
Result<int> Sender::Post(const Delivery& delivery, Instant deadline, std::string& said) const {
  TUTTI_ASSIGN_OR_RETURN(const Address to, AddressOf(delivery.url));
  const std::int64_t seconds = WallNow().unix_ms / 1000;
  TUTTI_ASSIGN_OR_RETURN(const std::string signature,
                         Signature(delivery.secret, delivery.id, seconds, delivery.body));
  const Networks& allowed = delivery.of_job ? options_.for_jobs : options_.for_cluster;
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> addresses,
                         Resolve(to.url.host, allowed, deadline, stop_.get()));
  httpclient::Request request{.method = "POST", .target = to.target};
  request.headers = {{"content-type", "application/json"},
                     {"webhook-id", delivery.id},
                     {"webhook-timestamp", std::to_string(seconds)},
                     {"webhook-signature", signature}};
  request.body = delivery.body;
  request.stop_fd = stop_.get();
  Error last;
  for (const std::string& address : addresses) {
    request.address = address;
    request.timeout = deadline - MonotonicNow();
    auto answer = httpclient::Open(to.url, request);
    if (answer) {
      const int status = (*answer)->head().status;
      // Who wrote a spec learns nothing of what stands there.
      if (status >= 300 && !delivery.of_job)
        said = Printable((*answer)->Read(kReadPatience).value_or(""));
      return status;
    }
    last = std::move(answer).error();
    // Any other may have read it: the next try is another one.
    if (last.code != ErrorCode::kUnavailable) break;
  }
  return Fail(std::move(last));
}

}  // namespace tutti::webhooks
