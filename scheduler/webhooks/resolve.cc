#include "scheduler/webhooks/resolve.h"

#include <netdb.h>
#include <poll.h>

#include <cerrno>
#include <memory>

namespace tutti::webhooks {
namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(50);

// One question to the system's resolver, which answers on threads of its own: everything that it
// reads and writes lives here.
struct Question {
  explicit Question(std::string name) : host(std::move(name)) {
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    call.ar_name = host.c_str();
    call.ar_request = &hints;
  }
  ~Question() {
    if (call.ar_result != nullptr) ::freeaddrinfo(call.ar_result);
  }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  std::string host;
  addrinfo hints{};
  gaicb call{};
};

bool IsReadable(int fd) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  return fd >= 0 && ::poll(&one, 1, 0) > 0;
}

// Waits for the answer. False when it did not come.
bool Await(Question& question, Instant deadline, int stop_fd) {
  const gaicb* const calls[] = {&question.call};
  constexpr timespec kPatience{.tv_sec = 0, .tv_nsec = kLookEvery.count()};
  while (::gai_error(&question.call) == EAI_INPROGRESS) {
    if (MonotonicNow() >= deadline || IsReadable(stop_fd)) return false;
    ::gai_suspend(calls, 1, &kPatience);
  }
  return true;
}

Unexpected Refused(const std::string& host, const std::string& address, Network network,
                   const Networks& allowed) {
  return Fail(
      ErrorCode::kUnsupported,
      "webhooks may not go to " + address + ", a " + std::string(ToString(network)) + " address",
      host == address ? std::string() : host,
      "this coordinator lets these go to: " + allowed.ToString() +
          "; its administrator says which (--webhooks-to)");
}

Result<std::string> Numeric(const addrinfo& info) {
  char text[NI_MAXHOST];
  const int code =
      ::getnameinfo(info.ai_addr, info.ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  if (code != 0) return Fail(ErrorCode::kInternal, ::gai_strerror(code));
  return std::string(text);
}

Result<std::vector<std::string>> AllowedOf(const addrinfo* found, const std::string& host,
                                           const Networks& allowed) {
  std::vector<std::string> addresses;
  Status refused;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    TUTTI_ASSIGN_OR_RETURN(std::string address, Numeric(*at));
    const Network network = NetworkOf(*at->ai_addr);
    if (allowed.Allow(network)) {
      addresses.push_back(std::move(address));
    } else {
      refused = Refused(host, address, network, allowed);
    }
  }
  if (addresses.empty() && !refused) return Fail(refused.error());
  if (addresses.empty()) return Fail(ErrorCode::kUnavailable, "it has no address", host);
  return addresses;
}

}  // namespace

Result<std::vector<std::string>> Resolve(const std::string& host, const Networks& allowed,
                                         Instant deadline, int stop_fd) {
  auto question = std::make_unique<Question>(host);
  gaicb* calls[] = {&question->call};
  if (const int code = ::getaddrinfo_a(GAI_NOWAIT, calls, 1, nullptr); code != 0) {
    return Fail(ErrorCode::kUnavailable, std::string("cannot resolve: ") + ::gai_strerror(code),
                host);
  }
  if (!Await(*question, deadline, stop_fd)) {
    // One that is being asked already cannot be taken back: it has its memory until it ends.
    if (::gai_cancel(&question->call) == EAI_NOTCANCELED) static_cast<void>(question.release());
    return Fail(ErrorCode::kTimeout, "cannot resolve: no answer in time", host);
  }
  if (const int code = ::gai_error(&question->call); code != 0) {
    return Fail(ErrorCode::kUnavailable, std::string("cannot resolve: ") + ::gai_strerror(code),
                host);
  }
  return AllowedOf(question->call.ar_result, host, allowed);
}

Status CheckLiteral(const std::string& host, const Networks& allowed) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  const auto checked = AllowedOf(found, host, allowed);
  return checked ? Status{} : Fail(checked.error());
}

}  // namespace tutti::webhooks
