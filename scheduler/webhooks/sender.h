// Sender: posts deliveries to their webhooks, on threads of its own, until each is taken or given
// up. It keeps nothing on disk: what waits when it stops is the owner's to add again.
//
// A delivery is taken when its receiver answers 2xx. No answer, 408, 425, 429 and 5xx are tried
// again after 1 s, 2 s, 4 s, … 10 min; any other answer (3xx too: redirects are not followed) and
// an address where webhooks may not go are final.
//
// One receiver gets one at a time, so that a slow one holds up nobody else; webhooks of the
// cluster have threads that those of jobs never take. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/file/file.h"
#include "scheduler/webhooks/networks.h"

namespace tutti::webhooks {

// How a try went.
struct Tried {
  WallTime at = {};
  Duration took = {};
  int status = 0;          // of the answer; 0 = none came
  std::string error = {};  // "" = it was taken
  bool is_over = false;    // taken, or given up
};

struct Delivery {
  std::string id = {};  // of the message, unique
  // Those of one receiver: a webhook's id, or the host of a job's.
  std::string receiver = {};
  bool of_job = false;  // else of the cluster
  std::string url = {};
  std::string secret = {};
  std::string body = {};
  int tries = 0;  // so far
  bool once = false;
  // After each try, on a thread of the sender; it must not wait.
  std::function<void(const Delivery& delivery, const Tried& tried)> tried = nullptr;
};

// Whether `url` is one that webhooks can have: http or https, a host, no name or password.
// kInvalid; kUnsupported for an address (not a name) where they may not go.
Status CheckUrl(const std::string& url, const Networks& allowed);
// "hooks.example:443" of such an url.
std::string ReceiverOf(const std::string& url);

// Before the try after so many: 1 s, 2 s, … 10 min, up to a fifth less by chance of `id`.
Duration PauseAfter(int tries, const std::string& id);
inline constexpr int kTriesMax = 150;  // about a day

struct SenderOptions {
  Networks for_cluster = {Network::kPublic, Network::kPrivate, Network::kLoopback};
  Networks for_jobs = {Network::kPublic, Network::kPrivate};
  Duration deadline = std::chrono::seconds(10);  // of one try
  // PauseAfter is multiplied by it: tests wait less.
  double pause_factor = 1;
};

class Sender {
 public:
  explicit Sender(SenderOptions options);
  ~Sender();  // Stop()
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // At once, or after its pause when it was tried already.
  void Add(Delivery delivery);
  // What waits for it is forgotten, without a word.
  void Forget(const std::string& receiver);
  // Ends what is under way; nobody is told of it.
  void Stop();

 private:
  using Lane = std::multimap<Instant, Delivery>;  // by when they are due

  void Run(bool of_jobs);
  void Settle(Delivery delivery, Tried tried);
  Result<int> Post(const Delivery& delivery, Instant deadline, std::string& said) const;
  Tried Try(const Delivery& delivery) const;

  const SenderOptions options_;
  UniqueFd stop_;     // readable once it stops
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<std::string, Lane> cluster_lanes_;  // by receiver; none is empty
  std::map<std::string, Lane> job_lanes_;
  std::set<std::string> busy_;       // receivers
  std::set<std::string> forgotten_;  // of those
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tutti::webhooks
