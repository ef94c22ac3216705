#include "scheduler/coordinator/webhooks.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/log.h"
#include "common/base/words.h"
#include "monitoring/metrics/metrics.h"
#include "scheduler/coordinator/on_loop.h"
#include "scheduler/coordinator/random_bits.h"
#include "scheduler/webhooks/message.h"
#include "scheduler/webhooks/signature.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr Duration kSaveEvery = std::chrono::seconds(1);
constexpr Duration kDropLogEvery = std::chrono::minutes(1);
constexpr std::uint64_t kUnsavedFactsMax = 5000;  // looked at again at a start
constexpr std::size_t kFactsAtOnce = 1000;

std::string NewId() {
  char text[16];
  std::snprintf(text, sizeof text, "h-%08x", static_cast<unsigned>(RandomBits() & 0xffffffffU));
  return text;
}

std::string Joined(const std::vector<spec::JobState>& states) {
  std::string text;
  for (const spec::JobState state : states) {
    text += (text.empty() ? "" : ",") + std::string(spec::ToString(state));
  }
  return text;
}

// "j-0k3v9x2m.421.h-01234567": of the job's fact 421, for that webhook.
std::string MessageId(JobId job, std::uint64_t seq, const std::string& webhook) {
  return job.ToString() + "." + std::to_string(seq) + "." + webhook;
}

webhooks::News About(const JobNews& news, const core::Job& job, const std::string& pages) {
  return {.at = news.at,
          .state = news.state,
          .reason = news.reason,
          .message = news.message,
          .attempt = Number(news.attempt == Attempt{} ? job.attempt : news.attempt),
          .metrics_json = news.metrics_json,
          .job = job.id.ToString(),
          .name = job.request.name,
          .user = job.request.user,
          .queue = job.request.queue,
          .task = job.request.task,
          .model = job.request.model_base,
          .page = pages + "jobs/" + job.id.ToString()};
}

// Whose webhook it is, as metrics call it.
const char* OwnerOf(const store::StoredDelivery& row) {
  return row.webhook.empty() ? "job" : "cluster";
}

Status MayWrite(const View& view) {
  if (!view.read_only) return {};
  return Fail(ErrorCode::kDiskFull, "the state database cannot be written now");
}

}  // namespace

std::set<spec::JobState> StatesOf(const store::StoredWebhook& row) {
  std::set<spec::JobState> states;
  for (const std::string_view word : CommaWords(row.on)) {
    if (const auto state = spec::ParseJobState(word)) states.insert(*state);
  }
  return states;
}

Status CheckWebhooks(const spec::JobSpec& job, const webhooks::Networks& allowed) {
  if (job.webhooks.size() > kJobWebhooksMax) {
    return Fail(ErrorCode::kInvalid,
                "a job has at most " + std::to_string(kJobWebhooksMax) + " webhooks",
                "#/spec/webhooks");
  }
  for (std::size_t i = 0; i < job.webhooks.size(); ++i) {
    if (Status status = webhooks::CheckUrl(job.webhooks[i].url, allowed); !status) {
      Error error = std::move(status).error();
      error.where = "#/spec/webhooks/" + std::to_string(i) + "/url";
      return Fail(std::move(error));
    }
  }
  return {};
}

Webhooks::Webhooks(Loop& loop, http::EventHub& events, metrics::Metrics& metrics,
                   std::string secret, webhooks::SenderOptions sender)
    : loop_(loop),
      events_(events),
      metrics_(metrics),
      secret_(std::move(secret)),
      networks_for_cluster_(sender.for_cluster),
      networks_for_jobs_(sender.for_jobs),
      sender_(sender) {}

// ---- start and end ---------------------------------------------------------------------------

Status Webhooks::Load(const View& view) {
  TUTTI_ASSIGN_OR_RETURN(const auto rows, view.store->Webhooks());
  for (const store::StoredWebhook& row : rows) hooks_[row.id] = {.row = row, .on = StatesOf(row)};
  TUTTI_ASSIGN_OR_RETURN(auto deliveries, view.store->Deliveries());
  for (store::StoredDelivery& row : deliveries) {
    ++receiver_counts_[ReceiverOf(row)];
    const std::string id = row.id;
    waiting_[id] = {.row = std::move(row), .is_saved = true, .is_dirty = false};
  }
  TUTTI_ASSIGN_OR_RETURN(const auto seq, view.store->DeliveriesSeq());
  seq_ = saved_seq_ = seq.value_or(view.store->last_seq());
  return {};
}

void Webhooks::Open(std::string pages) {
  runs_ = true;
  loop_.Read([this, pages = std::move(pages)](const Result<View>& view) {
    if (!view) return;
    pages_ = pages;
    for (const auto& [id, waiting] : waiting_) Send(waiting.row);
    CatchUp(*view);
    open_ = true;
  });
}

// Facts that were stored, and not looked at any more, when an earlier life ended; and this one's
// before it was open.
void Webhooks::CatchUp(const View& view) {
  for (;;) {
    const auto entries = view.store->Read(seq_, kFactsAtOnce);
    if (!entries) {
      Log(kError, "webhooks_missed", {{"error", entries.error().ToString()}});
      return;
    }
    if (entries->empty()) return;
    std::vector<core::Fact> facts;
    for (const store::JournalEntry& entry : *entries) facts.push_back(entry.fact);
    Consider(entries->front().seq, facts, view);
  }
}

void Webhooks::Stop() {
  sender_.Stop();
  if (!std::exchange(runs_, false)) return;
  const Status saved = OnLoop(loop_, [this](const View& view) -> Status {
    open_ = false;
    Save(view);
    return {};
  });
  if (!saved) Log(kWarning, "webhooks_not_saved", {{"error", saved.error().ToString()}});
}

// ---- facts -----------------------------------------------------------------------------------

void Webhooks::OnStored(const Stored& stored) {
  if (open_) Consider(stored.first_seq, stored.facts, stored.view);
}

void Webhooks::Consider(std::uint64_t seq, std::span<const core::Fact> facts, const View& view) {
  for (; !facts.empty(); facts = facts.subspan(1), ++seq) {
    seq_ = seq;
    if (const auto* archived = std::get_if<core::JobArchived>(&facts.front())) {
      job_hooks_.erase(archived->job);
    }
    const auto news = NewsOf(facts);
    if (!news) continue;
    const core::Job* job = core::FindJob(view.state->ledger, news->job);
    if (job == nullptr) continue;
    const std::vector<spec::Webhook>& own = HooksOf(*job);
    if (hooks_.empty() && own.empty()) continue;
    webhooks::News about = About(*news, *job, pages_);
    about.seq = seq;
    for (const auto& [id, hook] : hooks_) {
      if (seq <= hook.row.after_seq || !hook.on.contains(news->state)) continue;
      about.id = MessageId(news->job, seq, id);
      Enqueue({.id = about.id, .webhook = id, .url = {}, .user = {}, .body = MessageOf(about)});
    }
    std::size_t number = 0;
    for (const spec::Webhook& hook : own) {
      about.id = MessageId(news->job, seq, std::to_string(++number));
      const bool wanted = std::any_of(hook.on.begin(), hook.on.end(), [&](const auto& state) {
        return state == spec::ToString(news->state);
      });
      if (!wanted) continue;
      Enqueue({.id = about.id,
               .webhook = {},
               .url = hook.url,
               .user = job->request.user,
               .body = MessageOf(about)});
    }
  }
}

// Read from the spec once: most jobs have none.
const std::vector<spec::Webhook>& Webhooks::HooksOf(const core::Job& job) {
  static const std::vector<spec::Webhook> kNone;
  // A resolved spec has every field: that of a job without webhooks says so, at its end.
  if (job.spec_json.rfind(R"("webhooks":[])") != std::string::npos) return kNone;
  const auto [found, first] = job_hooks_.try_emplace(job.id);
  if (!first) return found->second;
  const json spec = json::parse(job.spec_json, nullptr, false);
  if (!spec.is_object()) return found->second;
  for (const json& hook : spec.value("webhooks", json::array())) {
    found->second.push_back(
        {.url = hook.value("url", ""), .on = hook.value("on", std::vector<std::string>())});
  }
  return found->second;
}

std::string Webhooks::ReceiverOf(const store::StoredDelivery& row) const {
  return row.webhook.empty() ? webhooks::ReceiverOf(row.url) : row.webhook;
}

void Webhooks::Enqueue(store::StoredDelivery row) {
  if (waiting_.contains(row.id)) return;
  std::size_t& count = receiver_counts_[ReceiverOf(row)];
  if (count >= kReceiverWaitingMax || waiting_.size() >= kWaitingMessagesMax) {
    metrics_.webhooks.Delivery(OwnerOf(row), "dropped");
    if (MonotonicNow() >= next_drop_log_) {
      next_drop_log_ = MonotonicNow() + kDropLogEvery;
      Log(kError, "webhook_dropped", {{"receiver", ReceiverOf(row)}, {"waiting", count}});
    }
    return;
  }
  ++count;
  Send(row);
  const std::string id = row.id;
  waiting_[id] = {.row = std::move(row)};
}

void Webhooks::Send(const store::StoredDelivery& row) {
  webhooks::Delivery delivery{.id = row.id,
                              .receiver = ReceiverOf(row),
                              .of_job = row.webhook.empty(),
                              .url = row.url,
                              .secret = {},
                              .body = row.body,
                              .tries = 0};
  if (delivery.of_job) {
    delivery.secret = SecretOfUser(row.user);
  } else {
    const auto hook = hooks_.find(row.webhook);
    if (hook == hooks_.end()) return;
    delivery.url = hook->second.row.url;
    delivery.secret = SecretOf(hook->second.row);
  }
  delivery.tries = static_cast<int>(row.tries);
  delivery.tried = [this](const webhooks::Delivery& one, const webhooks::Tried& tried) {
    const std::lock_guard lock(mutex_);
    outcomes_.push_back({one.id, tried});
  };
  sender_.Add(std::move(delivery));
}

// ---- how it went -----------------------------------------------------------------------------

void Webhooks::TakeOutcomes() {
  std::vector<Outcome> outcomes;
  {
    const std::lock_guard lock(mutex_);
    outcomes.swap(outcomes_);
  }
  for (const Outcome& outcome : outcomes) {
    const auto found = waiting_.find(outcome.id);
    if (found == waiting_.end()) continue;
    Waiting& waiting = found->second;
    const bool failed = !outcome.tried.error.empty();
    metrics_.webhooks.Delivery(OwnerOf(waiting.row), !failed                 ? "sent"
                                                     : outcome.tried.is_over ? "given_up"
                                                                             : "failed");
    const auto hook = hooks_.find(waiting.row.webhook);
    if (hook != hooks_.end()) {
      hook->second.last = outcome.tried;
      if (failed && outcome.tried.is_over) ++hook->second.given_up;
    }
    if (failed && outcome.tried.is_over) GiveUp(waiting.row, outcome.tried.error);
    if (!outcome.tried.is_over) {
      ++waiting.row.tries;
      waiting.is_dirty = true;
      continue;
    }
    const auto count = receiver_counts_.find(ReceiverOf(waiting.row));
    if (count != receiver_counts_.end() && --count->second == 0) receiver_counts_.erase(count);
    if (waiting.is_saved) over_.push_back(outcome.id);
    waiting_.erase(found);
  }
}

// The log says it to administrators, an event to whose job it is.
void Webhooks::GiveUp(const store::StoredDelivery& row, const std::string& error) {
  const std::string receiver = ReceiverOf(row);
  Log(kWarning, "webhook_given_up", {{"message", row.id}, {"to", receiver}, {"error", error}});
  if (!row.webhook.empty()) return;
  const std::string job = row.id.substr(0, row.id.find('.'));
  const json data = {{"type", "warning"},
                     {"job", job},
                     {"at", WallNow().ToRfc3339()},
                     {"code", "webhook_given_up"},
                     {"message", "a webhook at " + receiver + " was given up: " + error}};
  events_.Publish({.job = job,
                   .type = "warning",
                   .data = data.dump(-1, ' ', false, json::error_handler_t::replace),
                   .key = "webhook " + row.id});
}

void Webhooks::Tick(Instant now) {
  TakeOutcomes();
  metrics_.webhooks.Pending(static_cast<std::int64_t>(waiting_.size()));
  if (now < next_save_ || saving_ || !open_) return;
  next_save_ = now + kSaveEvery;
  const bool dirty = std::any_of(waiting_.begin(), waiting_.end(),
                                 [](const auto& each) { return each.second.is_dirty; });
  if (!dirty && over_.empty() && seq_ < saved_seq_ + kUnsavedFactsMax) return;
  saving_ = true;
  loop_.Read([this](const Result<View>& view) {
    saving_ = false;
    if (view && !view->read_only) Save(*view);
  });
}

void Webhooks::Save(const View& view) {
  TakeOutcomes();
  std::vector<store::StoredDelivery> rows;
  for (const auto& [id, waiting] : waiting_) {
    if (waiting.is_dirty) rows.push_back(waiting.row);
  }
  const Status saved = view.store->SaveDeliveries(seq_, rows, over_);
  if (!saved && !save_failed_) {
    Log(kError, "webhooks_not_saved", {{"error", saved.error().ToString()}});
  }
  save_failed_ = !saved;
  if (!saved) return;
  saved_seq_ = seq_;
  over_.clear();
  for (const store::StoredDelivery& row : rows) {
    Waiting& waiting = waiting_[row.id];
    waiting.is_saved = true;
    waiting.is_dirty = false;
  }
}

// ---- administrators --------------------------------------------------------------------------

std::string Webhooks::SecretOfUser(std::string_view user) const {
  return webhooks::SecretFor(secret_, "user:" + std::string(user));
}

std::string Webhooks::SecretOf(const store::StoredWebhook& row) const {
  return webhooks::SecretFor(secret_, "webhook:" + row.id);
}

WebhookView Webhooks::ViewOf(const Hook& hook) const {
  const auto count = receiver_counts_.find(hook.row.id);
  return {.row = hook.row,
          .secret = SecretOf(hook.row),
          .waiting = count == receiver_counts_.end() ? 0 : count->second,
          .given_up = hook.given_up,
          .last = hook.last};
}

Result<WebhookView> Webhooks::Create(const View& view, const WebhookRequest& request) {
  TUTTI_RETURN_IF_ERROR(MayWrite(view));
  if (Status good = webhooks::CheckUrl(request.url, networks_for_cluster_); !good) {
    Error error = std::move(good).error();
    error.where = "#/url";
    return Fail(std::move(error));
  }
  if (hooks_.size() >= kWebhooksMax) {
    return Fail(ErrorCode::kQuota, "there are " + std::to_string(hooks_.size()) + " webhooks", {},
                "delete those that nobody needs: tutti webhook list");
  }
  Hook hook;
  hook.row = {.id = NewId(),
              .name = request.name,
              .url = request.url,
              .on = Joined(request.on),
              .user = request.user,
              .created = WallNow(),
              .after_seq = view.store->last_seq()};
  hook.on = {request.on.begin(), request.on.end()};
  TUTTI_RETURN_IF_ERROR(view.store->PutWebhook(hook.row));
  Hook& kept = hooks_[hook.row.id] = std::move(hook);
  return ViewOf(kept);
}

Result<Webhooks::Hook*> Webhooks::Find(std::string_view text) {
  if (const auto found = hooks_.find(std::string(text)); found != hooks_.end()) {
    return &found->second;
  }
  std::vector<Hook*> named;
  for (auto& [id, hook] : hooks_) {
    if (!text.empty() && (hook.row.name == text || hook.row.url == text)) named.push_back(&hook);
  }
  const std::string quoted = "'" + std::string(text) + "'";
  if (named.empty()) {
    return Fail(ErrorCode::kNotFound, "there is no webhook " + quoted, {},
                "tutti webhook list shows those there are");
  }
  if (named.size() > 1) {
    return Fail(ErrorCode::kConflict, "several webhooks are called " + quoted, {},
                "use the id that tutti webhook list shows");
  }
  return named.front();
}

Result<WebhookView> Webhooks::Remove(const View& view, std::string_view text) {
  TUTTI_RETURN_IF_ERROR(MayWrite(view));
  TUTTI_ASSIGN_OR_RETURN(Hook* const hook, Find(text));
  const std::string id = hook->row.id;
  TUTTI_RETURN_IF_ERROR(view.store->RemoveWebhook(id));
  WebhookView shown = ViewOf(*hook);
  sender_.Forget(id);
  receiver_counts_.erase(id);
  std::erase_if(waiting_, [&](const auto& each) { return each.second.row.webhook == id; });
  hooks_.erase(id);
  return shown;
}

std::vector<WebhookView> Webhooks::List() {
  TakeOutcomes();
  std::vector<WebhookView> views;
  for (const auto& [id, hook] : hooks_) views.push_back(ViewOf(hook));
  std::sort(views.begin(), views.end(), [](const WebhookView& a, const WebhookView& b) {
    return std::pair(a.row.after_seq, a.row.id) < std::pair(b.row.after_seq, b.row.id);
  });
  return views;
}

Status Webhooks::Test(std::string_view text, std::function<void(const webhooks::Tried&)> done) {
  TUTTI_ASSIGN_OR_RETURN(const Hook* const hook, Find(text));
  const WallTime now = WallNow();
  const std::string id = "test." + std::to_string(now.unix_ms) + "." + hook->row.id;
  sender_.Add({.id = id,
               .receiver = "test " + hook->row.id,
               .of_job = false,
               .url = hook->row.url,
               .secret = SecretOf(hook->row),
               .body = webhooks::PingOf(id, now),
               .tries = 0,
               .once = true,
               .tried = [done = std::move(done)](const webhooks::Delivery&,
                                                 const webhooks::Tried& tried) { done(tried); }});
  return {};
}

}  // namespace tutti::coordinator
