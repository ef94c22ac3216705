#include "scheduler/coordinator/zap.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/curve/keys.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFramesMax = 16;
constexpr std::size_t kKeysMax = 20'000;
constexpr Duration kRefusalsLogEvery = std::chrono::seconds(1);
// Two files may come within one grain of the folder's time.
constexpr Duration kReadAgain = std::chrono::seconds(1);

// All parts of one message; nullopt when the context was shut down.
std::optional<std::vector<std::string>> Receive(zmq::socket_t& socket) {
  std::vector<std::string> frames;
  try {
    for (;;) {
      zmq::message_t frame;
      if (!socket.recv(frame)) return std::nullopt;
      if (frames.size() < kFramesMax) frames.push_back(frame.to_string());
      if (!frame.more()) return frames;
    }
  } catch (const zmq::error_t&) {
    return std::nullopt;
  }
}

struct Verdict {
  std::string status;  // "200", "400"
  std::string text;
  std::string user;
};

}  // namespace

Zap::Zap(zmq::context_t& context, fs::path allowed_dir)
    : allowed_dir_(std::move(allowed_dir)), socket_(context, zmq::socket_type::rep) {
  socket_.set(zmq::sockopt::linger, 0);
  socket_.bind("inproc://zeromq.zap.01");
  thread_ = std::thread([this] { Run(); });
}

Zap::~Zap() {
  thread_.join();
  socket_.close();
}

// Request (RFC 27): version, request id, domain, address, identity, mechanism, credentials.
void Zap::Run() {
  while (const auto request = Receive(socket_)) {
    Verdict verdict{"400", "this key is not allowed", ""};
    const bool curve = request->size() == 7 && (*request)[0] == "1.0" && (*request)[2] == kDomain &&
                       (*request)[5] == "CURVE" && (*request)[6].size() == curve::kKeyBytes;
    if (curve) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>((*request)[6].data());
      const std::string key = curve::EncodeZ85({bytes, curve::kKeyBytes});
      std::string name = NameOf(key);
      if (name.empty()) {
        Refused(key, (*request)[3]);
      } else {
        verdict = {"200", "OK", std::move(name)};
      }
    }
    const std::string id = request->size() > 1 ? (*request)[1] : "";
    const std::array<std::string, 6> answer = {"1.0",        id,           verdict.status,
                                               verdict.text, verdict.user, ""};
    try {
      for (std::size_t i = 0; i < answer.size(); ++i) {
        const auto flags = i + 1 < answer.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
        socket_.send(zmq::buffer(answer[i]), flags);
      }
    } catch (const zmq::error_t&) {
      return;  // shut down
    }
  }
}

// Counts every one and logs some: whoever may knock may do so a thousand times a second.
void Zap::Refused(const std::string& key, const std::string& address) {
  ++refused_;
  const Instant now = MonotonicNow();
  if (now < next_log_) return;
  next_log_ = now + kRefusalsLogEvery;
  Log(kWarning, "worker_key_refused",
      {{"key", key}, {"address", address}, {"times", std::exchange(refused_, std::uint64_t{0})}});
}

// Strangers cost a look at the folder's time, not all its files.
std::string Zap::NameOf(const std::string& public_key) {
  auto found = names_.find(public_key);
  // One that was taken away is known only by its file.
  const auto still = found == names_.end() ? std::nullopt : KeyOf(found->second);
  if (still != public_key) {
    if (found != names_.end()) names_.erase(std::exchange(found, names_.end()));
    const Instant now = MonotonicNow();
    std::error_code error;
    const auto changed = fs::last_write_time(allowed_dir_, error);
    if (error || changed != read_of_ || now - read_at_ >= kReadAgain) {
      read_of_ = changed;
      read_at_ = now;
      ReadFolder();
      found = names_.find(public_key);
    }
  }
  return found == names_.end() ? std::string() : found->second;
}

std::optional<std::string> Zap::KeyOf(const std::string& name) const {
  const auto key = curve::LoadKey(allowed_dir_ / (name + ".pub"));
  return key ? std::optional(*key) : std::nullopt;
}

void Zap::ReadFolder() {
  names_.clear();
  std::error_code error;
  for (fs::directory_iterator entry(allowed_dir_, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.extension() != ".pub" || names_.size() >= kKeysMax) continue;
    if (const auto key = curve::LoadKey(path)) {
      names_.emplace(*key, path.stem().string());
    } else {
      Log(kWarning, "worker_key_unreadable", {{"error", key.error().ToString()}});
    }
  }
}

}  // namespace tutti::coordinator
