#include "scheduler/coordinator/coordinator.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/base/host.h"
#include "common/base/log.h"
#include "common/curve/keys.h"
#include "common/tls/identity.h"
#include "common/version/version.h"
#include "monitoring/history/history.h"
#include "monitoring/metrics/metrics.h"
#include "monitoring/tensorboard/event_files.h"
#include "scheduler/coordinator/addresses.h"
#include "scheduler/coordinator/api.h"
#include "scheduler/coordinator/byte_budget.h"
#include "scheduler/coordinator/cluster_curves.h"
#include "scheduler/coordinator/disk_watch.h"
#include "scheduler/coordinator/effects.h"
#include "scheduler/coordinator/job_json.h"
#include "scheduler/coordinator/worker_link.h"
#include "scheduler/coordinator/worker_tokens.h"
#include "scheduler/http/auth.h"
#include "scheduler/http/server.h"
#include "scheduler/http/sessions.h"
#include "scheduler/store/reserve.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kStopDeadline{2000};
constexpr Duration kRoomDeadline = std::chrono::seconds(1);
constexpr std::size_t kRenderThreads = 1;
constexpr Duration kTokenUsesEvery = std::chrono::minutes(1);
constexpr std::size_t kWireBytesMax = std::size_t{64} << 20;  // of messages that wait for the loop

struct Opened {
  curve::KeyPair keys;
  std::string token;
  std::string webhooks_key;
  Reach reach;
  std::optional<tls::Identity> identity;
  std::unique_ptr<store::Store> store;
};

// Others may have pinned the certificate that was made here: it stays, whatever this machine is
// called meanwhile.
Result<tls::Identity> OpenIdentity(const Options& options, const Reach& reach) {
  if (!options.tls_cert.empty()) return tls::LoadIdentity(options.tls_cert, options.tls_key);
  const fs::path directory = options.data_dir / "coordinator/tls";
  TUTTI_ASSIGN_OR_RETURN(tls::Identity identity, tls::LoadOrMakeIdentity(directory, reach.names));
  const auto& names = identity.names;
  if (std::find(names.begin(), names.end(), reach.advertise) == names.end()) {
    Log(kWarning, "certificate_lacks_name",
        {{"name", reach.advertise},
         {"hint", "clients that check names refuse it; remove " + directory.string() +
                      " for a new one, with a new pin"}});
  }
  return identity;
}

// The state database first: its lock is what keeps a second coordinator out of everything else.
Result<Opened> OpenDirectory(const Options& options) {
  const fs::path& data_dir = options.data_dir;
  const fs::path own = data_dir / "coordinator";
  TUTTI_RETURN_IF_ERROR(MakeDirectories(own, 0700));
  Opened opened;
  auto store = store::Store::Open(own / "state.db");
  if (!store && store.error().code == ErrorCode::kDiskFull && store::ReleaseReserve(own)) {
    Log(kWarning, "disk_full_at_start", {{"reserve_given_up", FormatBytes(store::kReserve)}});
    store = store::Store::Open(own / "state.db");
  }
  if (!store) return Fail(std::move(store).error());
  opened.store = std::move(*store);
  TUTTI_RETURN_IF_ERROR(MakeDirectories(own / "allowed"));
  TUTTI_ASSIGN_OR_RETURN(opened.keys, curve::LoadOrMakeKeyPair(own));
  TUTTI_ASSIGN_OR_RETURN(opened.token, http::LoadOrMakeToken(data_dir / "token"));
  TUTTI_ASSIGN_OR_RETURN(opened.webhooks_key, http::LoadOrMakeToken(own / "webhooks.key"));
  opened.reach = ReachOf(options.http.host, options.advertise);
  if (options.tls) {
    TUTTI_ASSIGN_OR_RETURN(opened.identity, OpenIdentity(options, opened.reach));
  }
  std::error_code ignored;
  fs::remove(own / "serving.json", ignored);  // of a life that was killed
  return opened;
}

// What the Host header may say: names that people use, and those of the certificate.
std::vector<std::string> HostsOf(const Reach& reach, const std::optional<tls::Identity>& identity) {
  std::vector<std::string> hosts;
  for (const std::string& name : reach.names) hosts.push_back(Bracketed(name));
  if (!identity) return hosts;
  for (const std::string& name : identity->names) hosts.push_back(Bracketed(name));
  return hosts;
}

// "tcp://0.0.0.0:7718" as programs on this machine connect to it.
std::string ForThisMachine(std::string endpoint) {
  for (const auto& [any, loopback] :
       {std::pair("//0.0.0.0:", "//127.0.0.1:"), std::pair("//[::]:", "//[::1]:")}) {
    const std::size_t at = endpoint.find(any);
    if (at != std::string::npos) endpoint.replace(at, std::string_view(any).size(), loopback);
  }
  return endpoint;
}

// What administrators make may go anywhere but where clouds serve credentials.
webhooks::SenderOptions SendersOf(const Options& options) {
  webhooks::SenderOptions senders;
  senders.for_jobs = options.webhooks_to;
  senders.for_cluster = senders.for_cluster | options.webhooks_to;
  return senders;
}

}  // namespace

// In the order of construction.
struct Coordinator::Parts {
  Parts(Options given, Opened opened, registry::BlobStore blob_store,
        registry::CheckpointStore checkpoint_store)
      : options(std::move(given)),
        keys(std::move(opened.keys)),
        reach(std::move(opened.reach)),
        identity(std::move(opened.identity)),
        worker_tokens(opened.token, options.data_dir / "coordinator" / "allowed"),
        auth(HostsOf(reach, identity),
             [this](std::string_view other) { return worker_tokens.Check(other); }),
        sessions(opened.token, identity.has_value()),
        tokens(auth.tokens()),
        metrics(Version(), Revision()),
        blobs(std::move(blob_store)),
        checkpoints(std::move(checkpoint_store)),
        loop(std::move(opened.store), LoopOptions{.metrics = &metrics.control}),
        events({.older = OlderEventsFrom(loop), .metrics = &metrics.http}),
        history(history::History::Open({.path = options.data_dir / "coordinator" / "history.db"})),
        event_files({.directory = options.data_dir / "tensorboard"}),
        progress(events, metrics, history.get(), &event_files),
        webhooks(loop, events, metrics, opened.webhooks_key, SendersOf(options)),
        gangs(events, metrics.training),
        logs(options.data_dir / "coordinator" / "logs") {
    auth.Believe(sessions);
    auth.tokens().Put({.id = "token file",
                       .sha256 = Sha256Of(opened.token),
                       .caller = {.user = "local", .scope = http::Scope::kAdmin}});
  }

  Options options;
  curve::KeyPair keys;
  Reach reach;
  std::optional<tls::Identity> identity;
  WorkerTokens worker_tokens;
  http::Auth auth;
  http::Sessions sessions;
  Tokens tokens;
  metrics::Metrics metrics;
  ByteBudget wire_bytes{kWireBytesMax};
  registry::BlobStore blobs;
  registry::CheckpointStore checkpoints;
  Enrollments enrollments{options.data_dir / "coordinator"};
  std::optional<registry::ModelStore> model_store;
  std::optional<Models> models;
  Loop loop;
  http::EventHub events;
  std::unique_ptr<history::History> history;
  tensorboard::EventFiles event_files;
  ClusterCurves curves{*history};
  ProgressBoard progress;
  Webhooks webhooks;
  GangWatch gangs;
  RankLogs logs;
  Waiters waiters;
  Measures measures{metrics, options.data_dir / "coordinator" / "allowed"};
  DiskWatch disk{options.data_dir / "coordinator"};
  JobReader jobs{progress, gangs};
  Workers workers{{progress, gangs, logs, blobs, checkpoints, metrics}};
  std::optional<Effects> effects;
  std::optional<BlobCollector> collector;
  std::optional<Backups> backups;
  boost::asio::thread_pool render{kRenderThreads};
  std::optional<Api> api;
  http::Router router;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<WorkerLink> link;
  bool stopped = false;
  Instant next_token_uses;

  std::string UrlForOthers() const;
  std::string ZmqForOthers() const;
  void KeepTokenUses(Instant now);
  Status StartLoop(std::function<void(const Error&)> failed);
  Status StartServer();
  Status StartLink();
  Status SayWhere() const;
  void OnStored(const Stored& stored);
  fs::path ServingFile() const { return options.data_dir / "coordinator" / "serving.json"; }
};

// Facts as events, metrics and answers to those who wait.
void Coordinator::Parts::OnStored(const Stored& stored) {
  std::uint64_t seq = stored.first_seq;
  for (const core::Fact& fact : stored.facts) {
    if (const auto* archived = std::get_if<core::JobArchived>(&fact)) {
      progress.Forget(archived->job);
      logs.Remove(archived->job);
    }
    if (auto event = EventOf(seq, fact, stored.view.state->ledger)) {
      events.Publish({.seq = seq,
                      .job = std::move(event->job),
                      .type = std::move(event->type),
                      .data = std::move(event->data)});
    }
    ++seq;
  }
  gangs.OnStored(stored);
  webhooks.OnStored(stored);
  measures.OnStored(stored);
  waiters.OnStored(stored);
}

Status Coordinator::Parts::StartLoop(std::function<void(const Error&)> failed) {
  Status loaded;
  LoopHooks hooks;
  hooks.tick = [this](Round& round) {
    workers.Tick(round);
    waiters.Tick(round.now());
    models->Retry(round.now());
    KeepTokenUses(round.now());
    curves.Tick(round.state(), round.now());
    disk.Tick(round);
    webhooks.Tick(round.now());
  };
  hooks.perform = [this](const core::Effect& effect, const View& view) {
    effects->Perform(effect, view);
  };
  hooks.stored = [this](const Stored& stored) { OnStored(stored); };
  hooks.failed = std::move(failed);
  TUTTI_RETURN_IF_ERROR(loop.Start(std::move(hooks), [&](const View& view) {
    events.SetLastSeq(view.store->last_seq());
    loaded = models->Load(view);
    if (loaded) loaded = tokens.Load(*view.store);
    if (loaded) loaded = webhooks.Load(view);
    progress.Restore(view.state->ledger);
  }));
  return loaded;
}

void Coordinator::Parts::KeepTokenUses(Instant now) {
  if (now < next_token_uses) return;
  next_token_uses = now + kTokenUsesEvery;
  loop.Read([this](const Result<View>& view) {
    if (!view) return;
    if (const Status kept = tokens.Flush(*view); !kept) {
      Log(kWarning, "token_uses_not_kept", {{"error", kept.error().ToString()}});
    }
  });
}

std::string Coordinator::Parts::UrlForOthers() const {
  return (identity ? "https://" : "http://") + Bracketed(reach.advertise) + ":" +
         std::to_string(server->Port());
}

std::string Coordinator::Parts::ZmqForOthers() const {
  const std::string& endpoint = link->endpoint();
  return "tcp://" + Bracketed(reach.advertise) + endpoint.substr(endpoint.rfind(':'));
}

Status Coordinator::Parts::StartServer() {
  api.emplace(Api{.loop = loop,
                  .jobs = jobs,
                  .workers = workers,
                  .waiters = waiters,
                  .measures = measures,
                  .models = *models,
                  .logs = logs,
                  .tokens = tokens,
                  .webhooks = webhooks,
                  .sessions = sessions,
                  .events = events,
                  .blobs = blobs,
                  .model_store = *model_store,
                  .checkpoints = checkpoints,
                  .metrics = metrics,
                  .render = render,
                  .enrollments = enrollments,
                  .backups = *backups,
                  .collector = *collector,
                  .data_dir = options.data_dir,
                  .history = history.get()});
  RegisterRoutes(router, *api);
  http::ServerOptions server_options;
  server_options.host = options.http.host;
  server_options.port = options.http.port;
  server_options.spool_dir = blobs.uploads_dir();
  server_options.metrics = &metrics.http;
  server_options.identity = identity;
  TUTTI_ASSIGN_OR_RETURN(server, http::Server::Start(server_options, router, auth));
  webhooks.Open(UrlForOthers() + "/ui/");
  return {};
}

Status Coordinator::Parts::StartLink() {
  WorkerLinkOptions link_options;
  link_options.host = options.zmq.host;
  link_options.port = options.zmq.port;
  link_options.keys = keys;
  link_options.allowed_dir = options.data_dir / "coordinator" / "allowed";
  link_options.on_message = [this](const Peer& peer, wire::ToCoordinator message) {
    // What cannot wait is dropped: its sender says it again.
    const std::size_t bytes = message.SpaceUsedLong();
    if (!wire_bytes.Take(bytes, kRoomDeadline)) return metrics.wire.FrameDropped("overload");
    // Shared, because a work can be copied; returned to the budget with the last copy.
    const std::shared_ptr<wire::ToCoordinator> shared(new wire::ToCoordinator(std::move(message)),
                                                      [this, bytes](wire::ToCoordinator* each) {
                                                        delete each;
                                                        wire_bytes.Return(bytes);
                                                      });
    loop.WaitForRoom(kRoomDeadline);
    loop.Do([this, peer, shared](Round& round) { workers.Handle(round, peer, *shared); });
  };
  link_options.on_dropped = [this](std::string_view reason) { metrics.wire.FrameDropped(reason); };
  link_options.on_refused = [this](std::string_view reason) { metrics.wire.PeerRefused(reason); };
  TUTTI_ASSIGN_OR_RETURN(link, WorkerLink::Open(std::move(link_options)));
  loop.Do([this](Round&) {
    workers.Open(
        {.send = [this](const std::string& route,
                        const wire::ToWorker& message) { link->Send(route, message); },
         .generation = loop.generation(),
         .http_url = server->Url(),
         .http_url_remote = UrlForOthers(),
         .http_pin = identity ? identity->pin : "",
         .http_token = [this](const std::string& worker) { return worker_tokens.For(worker); },
         .jobs_folder_id = checkpoints.folder_id(),
         .join = {.http = UrlForOthers(),
                  .pin = identity ? identity->pin : "",
                  .zmq = ZmqForOthers(),
                  .key = keys.public_key}});
  });
  return {};
}

Status Coordinator::Parts::SayWhere() const {
  nlohmann::json where = {{"url", server->Url()},
                          {"zmq", ForThisMachine(link->endpoint())},
                          {"pid", ::getpid()},
                          {"advertise", reach.advertise}};
  if (identity) where["pin"] = identity->pin;
  return WriteFileAtomically(ServingFile(), where.dump() + "\n");
}

Coordinator::Coordinator(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Coordinator::~Coordinator() { Stop(); }

const http::Router& Coordinator::routes() const { return parts_->router; }

Result<std::unique_ptr<Coordinator>> Coordinator::Start(const Options& options,
                                                        std::function<void(const Error&)> failed) {
  TUTTI_ASSIGN_OR_RETURN(Opened opened, OpenDirectory(options));
  TUTTI_ASSIGN_OR_RETURN(registry::BlobStore blobs,
                         registry::BlobStore::Open(options.data_dir / "coordinator"));
  TUTTI_ASSIGN_OR_RETURN(registry::CheckpointStore checkpoints,
                         registry::CheckpointStore::Open(options.data_dir / "jobs"));
  auto parts =
      std::make_unique<Parts>(options, std::move(opened), std::move(blobs), std::move(checkpoints));
  TUTTI_ASSIGN_OR_RETURN(auto model_store,
                         registry::ModelStore::Open(options.data_dir / "models", parts->blobs));
  parts->model_store.emplace(std::move(model_store));
  parts->models.emplace(*parts->model_store);
  parts->effects.emplace(parts->loop, parts->workers, *parts->models);
  parts->collector.emplace(parts->loop, *parts->models, parts->blobs, options.blob_grace);
  parts->backups.emplace(parts->loop, options.data_dir, parts->collector->collecting());
  std::unique_ptr<Coordinator> coordinator(new Coordinator(std::move(parts)));
  TUTTI_RETURN_IF_ERROR(coordinator->parts_->StartLoop(std::move(failed)));
  TUTTI_RETURN_IF_ERROR(coordinator->parts_->StartServer());
  TUTTI_RETURN_IF_ERROR(coordinator->parts_->StartLink());
  coordinator->parts_->collector->Start();
  TUTTI_RETURN_IF_ERROR(coordinator->parts_->SayWhere());
  Log(kInfo, "serving",
      {{"url", coordinator->parts_->server->Url()},
       {"advertise", coordinator->parts_->UrlForOthers()},
       {"zmq", coordinator->parts_->link->endpoint()},
       {"generation", coordinator->parts_->loop.generation()}});
  return coordinator;
}

void Coordinator::Stop() {
  if (std::exchange(parts_->stopped, true)) return;
  std::error_code ignored;
  fs::remove(parts_->ServingFile(), ignored);
  // Both answer those who asked, and read on the loop.
  parts_->backups->Stop();
  parts_->collector->Stop();
  parts_->webhooks.Stop();
  parts_->loop.Do([this](Round&) { parts_->waiters.Release(); });
  if (parts_->server) parts_->server->Stop(kStopDeadline);
  parts_->loop.Stop();
  parts_->render.join();
  // Both send through the link, and its thread feeds the loop: it ends last.
  parts_->logs.Stop();
  parts_->link.reset();
}

}  // namespace tutti::coordinator
