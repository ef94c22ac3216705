// Webhooks: who is told when a job comes into a state: what administrators ask for (of every job)
// and what specs ask for (of their own).
//
// At least once, whatever dies: which facts were looked at, and messages that no receiver has taken
// yet, are in the store a second later; at start the facts beyond are looked at again. A message's
// id follows from its fact and its webhook, so receivers know what they have already. Nothing here
// waits for a receiver: a webhooks::Sender does.
//
// Of the loop's thread, but for what says otherwise.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/spec/spec.h"
#include "scheduler/coordinator/job_news.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/http/events.h"
#include "scheduler/webhooks/sender.h"

namespace tutti::metrics {
class Metrics;
}

namespace tutti::coordinator {

inline constexpr std::size_t kWebhooksMax = 100;          // of the cluster
inline constexpr std::size_t kJobWebhooksMax = 10;        // of one job
inline constexpr std::size_t kReceiverWaitingMax = 2000;  // messages; more are dropped
inline constexpr std::size_t kWaitingMessagesMax = 20'000;

// What `tutti webhook create` asks for.
struct WebhookRequest {
  std::string url = {};
  std::string name = {};
  std::vector<spec::JobState> on = {};
  std::string user = {};  // who asks
};

// A webhook of the cluster, as it is shown.
struct WebhookView {
  store::StoredWebhook row = {};
  std::string secret = {};
  std::size_t waiting = 0;
  std::uint64_t given_up = 0;  // in this life of the coordinator, as is the last
  std::optional<webhooks::Tried> last = {};
};

// What a row's `on` says.
std::set<spec::JobState> StatesOf(const store::StoredWebhook& row);

// What a spec asks for: kInvalid for too many, kUnsupported for where they may not go.
Status CheckWebhooks(const spec::JobSpec& job, const webhooks::Networks& allowed);

class Webhooks {
 public:
  // All outlive it. `secret`: the cluster's; secrets of webhooks follow from it.
  Webhooks(Loop& loop, http::EventHub& events, metrics::Metrics& metrics, std::string secret,
           webhooks::SenderOptions sender);

  // What the store has. Before the loop's thread runs.
  Status Load(const View& view);
  // From now on they are sent, beginning with what an earlier life left. `pages`: the address of
  // the dashboard for people. Once, by the owner; so is Stop.
  void Open(std::string pages);
  // Ends sending, and keeps what waits. While the loop runs.
  void Stop();

  void OnStored(const Stored& stored);
  void Tick(Instant now);

  // kQuota beyond kWebhooksMax; errors of webhooks::CheckUrl; kDiskFull.
  Result<WebhookView> Create(const View& view, const WebhookRequest& request);
  // By id, or by a name or url that is one's alone. kNotFound, kConflict.
  Result<WebhookView> Remove(const View& view, std::string_view text);
  std::vector<WebhookView> List();
  // Sends it one message. `done`: exactly once, on any thread, unless the coordinator stops.
  Status Test(std::string_view text, std::function<void(const webhooks::Tried&)> done);

  // What a job's webhooks are signed with. Any thread.
  std::string SecretOfUser(std::string_view user) const;
  const webhooks::Networks& for_jobs() const { return networks_for_jobs_; }

 private:
  struct Hook {
    store::StoredWebhook row;
    std::set<spec::JobState> on;
    std::uint64_t given_up = 0;
    std::optional<webhooks::Tried> last = {};
  };
  struct Waiting {
    store::StoredDelivery row;
    bool is_saved = false;
    bool is_dirty = true;
  };
  struct Outcome {
    std::string id;
    webhooks::Tried tried;
  };

  void CatchUp(const View& view);
  void Consider(std::uint64_t seq, std::span<const core::Fact> facts, const View& view);
  const std::vector<spec::Webhook>& HooksOf(const core::Job& job);
  void Enqueue(store::StoredDelivery row);
  void Send(const store::StoredDelivery& row);
  std::string ReceiverOf(const store::StoredDelivery& row) const;
  void TakeOutcomes();
  void GiveUp(const store::StoredDelivery& row, const std::string& error);
  void Save(const View& view);
  Result<Hook*> Find(std::string_view text);
  WebhookView ViewOf(const Hook& hook) const;
  std::string SecretOf(const store::StoredWebhook& row) const;

  Loop& loop_;
  http::EventHub& events_;
  metrics::Metrics& metrics_;
  const std::string secret_;
  const webhooks::Networks networks_for_cluster_;
  const webhooks::Networks networks_for_jobs_;

  bool runs_ = false;  // of the owner
  bool open_ = false;
  std::string pages_;
  std::map<std::string, Hook> hooks_;  // by id
  std::map<JobId, std::vector<spec::Webhook>> job_hooks_;
  std::map<std::string, Waiting> waiting_;              // by the message's id
  std::map<std::string, std::size_t> receiver_counts_;  // of those
  std::vector<std::string> over_;                       // saved ones that are no longer waited for
  std::uint64_t seq_ = 0;                               // facts looked at
  std::uint64_t saved_seq_ = 0;
  bool save_failed_ = false;  // said already
  bool saving_ = false;       // a save is on its way
  Instant next_save_;
  Instant next_drop_log_;

  std::mutex mutex_;  // guards outcomes_
  std::vector<Outcome> outcomes_;
  webhooks::Sender sender_;  // last: its threads end first
};

}  // namespace tutti::coordinator
