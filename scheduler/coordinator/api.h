// The native HTTP API (docs/formats/http-api.md): the coordinator's routes. Handlers parse on the
// server's threads, decide and read on the loop's, and render on the render threads.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <functional>
#include <string>

#include "scheduler/coordinator/backup.h"
#include "scheduler/coordinator/blob_collector.h"
#include "scheduler/coordinator/enrollments.h"
#include "scheduler/coordinator/job_view.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/coordinator/measures.h"
#include "scheduler/coordinator/models.h"
#include "scheduler/coordinator/rank_logs.h"
#include "scheduler/coordinator/tokens.h"
#include "scheduler/coordinator/waiters.h"
#include "scheduler/coordinator/webhooks.h"
#include "scheduler/coordinator/workers.h"
#include "scheduler/http/events.h"
#include "scheduler/http/router.h"
#include "scheduler/http/sessions.h"
#include "scheduler/registry/checkpoint_store.h"

namespace tutti::history {
class History;
}

namespace tutti::coordinator {

// What handlers use; all of it outlives the server.
struct Api {
  Loop& loop;
  JobReader& jobs;     // of the loop's thread
  Workers& workers;    // of the loop's thread
  Waiters& waiters;    // of the loop's thread
  Measures& measures;  // of the loop's thread
  Models& models;
  RankLogs& logs;
  Tokens& tokens;      // of the loop's thread
  Webhooks& webhooks;  // of the loop's thread
  http::Sessions& sessions;
  http::EventHub& events;
  const registry::BlobStore& blobs;
  const registry::ModelStore& model_store;
  const registry::CheckpointStore& checkpoints;
  metrics::Metrics& metrics;
  boost::asio::thread_pool& render;
  Enrollments& enrollments;  // of the loop's thread
  Backups& backups;
  BlobCollector& collector;
  std::filesystem::path data_dir;
  history::History* history = nullptr;  // none: curves are not to be had

  std::filesystem::path models_dir() const { return data_dir / "models"; }
};

// Every route, the registry's and the document itself too. `api` outlives the router.
void RegisterRoutes(http::Router& router, Api& api);

void RegisterJobRoutes(http::Router& router, Api& api);
void RegisterQueueRoutes(http::Router& router, Api& api);
void RegisterSweepRoutes(http::Router& router, Api& api);
void RegisterWorkloadRoutes(http::Router& router, Api& api);
void RegisterActionRoutes(http::Router& router, Api& api);
void RegisterReadRoutes(http::Router& router, Api& api);  // events, logs
void RegisterLogLineRoutes(http::Router& router, Api& api);
void RegisterCurveRoutes(http::Router& router, Api& api);
void RegisterCheckpointFileRoutes(http::Router& router, Api& api);
void RegisterCheckpointRoutes(http::Router& router, Api& api);
void RegisterClusterRoutes(http::Router& router, Api& api);
void RegisterWorkerRoutes(http::Router& router, Api& api);
void RegisterJoinRoutes(http::Router& router, Api& api);
void RegisterToolRoutes(http::Router& router, Api& api);
void RegisterTokenRoutes(http::Router& router, Api& api);
void RegisterWebhookRoutes(http::Router& router, Api& api);
void RegisterUpkeepRoutes(http::Router& router, Api& api);
void RegisterSpecRoutes(http::Router& router, Api& api);
void RegisterUiRoutes(http::Router& router, Api& api);
void AddSchemas(http::Router& router);

// Durable events from the journal, for clients that ask for more than the hub remembers.
http::OlderEvents OlderEventsFrom(Loop& loop);

}  // namespace tutti::coordinator
