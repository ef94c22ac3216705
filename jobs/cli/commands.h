// The commands of `tutti`: what each is given, and a function that does it and returns the exit
// code. Main thread only; every wait has a deadline or ends on Ctrl-C.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "jobs/cli/completion.h"
#include "jobs/cli/console.h"
#include "jobs/client/api.h"

namespace tutti::cli {

// What every command works with.
struct Context {
  Console& console;
  client::Client& client;
  client::EndpointOptions endpoint{};
  client::Environment env{};
  std::filesystem::path bin_dir{};  // where the sibling programs lie
};

// ---- submitting ------------------------------------------------------------------------------

struct SubmitOptions {
  std::string spec;  // a path, or "-" for stdin
  std::vector<std::string> sets;
  bool dry_run = false;
  bool hold = false;
  bool follow = false;
};
int Submit(Context& context, const SubmitOptions& options);
int SweepSubmit(Context& context, const SubmitOptions& options);  // of `options` spec and sets
int SweepShow(Context& context, const std::string& sweep);
int SweepList(Context& context);

struct InitOptions {
  std::string path = "job.yaml";
  std::string name{};
  std::string task{};
  std::string model{};
  std::string train{};
  std::string eval{};
  bool force = false;
  bool schema = false;
};
int Init(Context& context, const InitOptions& options);

// ---- jobs ------------------------------------------------------------------------------------

struct PsOptions {
  bool all = false;
  std::string state{};
  std::string name{};
  int limit = 0;  // 0 = no bound
};
int Ps(Context& context, const PsOptions& options);
struct ShowOptions {
  std::string job{};
  bool plot = false;                  // its losses and evaluations as pictures
  std::vector<std::string> curves{};  // these instead; they ask for pictures too
  bool samples = false;               // what a language model answered, at each evaluation
};
int Show(Context& context, const ShowOptions& options);
// The same with its curves drawn; `job` is what the coordinator told of it.
int ShowPlots(Context& context, nlohmann::json job, const ShowOptions& options);
// What it answered at each evaluation.
int ShowSamples(Context& context, nlohmann::json job);
// At the newest evaluation, a line an answer; "" where none was sampled or it cannot be had.
std::string NewestSamples(Context& context, const nlohmann::json& job);
int Why(Context& context, const std::string& job);

struct LogsOptions {
  std::optional<int> rank{};
  std::optional<int> attempt{};
  std::optional<int> tail{};  // the last so many lines
  std::string since{};        // "10m" ago; "" = from the start
  std::string grep{};         // only lines with this text; "" = all
  bool numbers = false;
  bool follow = false;
};

struct EventsOptions {
  bool follow = false;
};

struct WaitOptions {
  std::string job{};
  std::string timeout{};  // "60s"; "" = none
};
int Wait(Context& context, const WaitOptions& options);

// `action`: "cancel", "pause", "checkpoint". Goes on after an error; the first one's exit code.
int Act(Context& context, const std::string& action, const std::vector<std::string>& jobs);
struct ResumeOptions {
  std::string job;
  std::optional<int> ranks;
  bool any_cpu = false;
};
int Resume(Context& context, const ResumeOptions& options);
int Resize(Context& context, const std::string& job, int ranks);

struct CloneOptions {
  std::string job{};
  std::string name{};  // "" = as it was
  bool hold = false;
  bool follow = false;
};
int Clone(Context& context, const CloneOptions& options);

// ---- checkpoints -----------------------------------------------------------------------------

int CheckpointList(Context& context, const std::string& job);
// Exit code 1 when one of them is not what was written.
int CheckpointVerify(Context& context, const std::string& job, std::optional<int> step);

struct GcOptions {
  std::string job{};  // "" = every job's
  int keep = 1;
  bool dry_run = false;
};
int CheckpointGc(Context& context, const GcOptions& options);

// ---- the cluster -----------------------------------------------------------------------------

struct UpCommand {
  int workers = 1;
  int slots_per_worker = 0;
  std::string http = "127.0.0.1:7717";
  std::string zmq{};
  bool tls = false;
  std::string tls_cert{};
  std::string tls_key{};
  std::string advertise{};
  std::string webhooks_to{};
  bool detach = false;
};
int UpCluster(Context& context, const UpCommand& options);
int DownCluster(Context& context);
int QueueList(Context& context);
struct QueueSetCommand {
  std::string name;                      // "" = the policy alone
  std::vector<std::string> assignments;  // "weight=2"
  std::string policy;                    // "" = as it is
};
int QueueSet(Context& context, const QueueSetCommand& options);
int UsageList(Context& context, bool csv);
int WorkerList(Context& context);

struct DrainOptions {
  std::vector<std::string> workers{};
  bool wait = false;
  std::string timeout{};  // "60s"; "" = none
};
int WorkerDrain(Context& context, const DrainOptions& options);
struct WorkerTokenOptions {
  std::string expires = "24h";
  std::string name{};  // the worker has to have; "" = any
};
int WorkerToken(Context& context, const WorkerTokenOptions& options);
int WorkerRemove(Context& context, const std::vector<std::string>& workers);
int WorkerUndrain(Context& context, const std::vector<std::string>& workers);

int Doctor(Context& context);

// To a folder that the coordinator writes, or to an archive made of it here.
int Backup(Context& context, const std::string& path);
struct BlobGcOptions {
  bool dry_run = false;
  std::string grace{};  // "24h"; "" = the coordinator's
};
int BlobGc(Context& context, const BlobGcOptions& options);

struct TokenOptions {
  std::string scope = "viewer";
  std::string name{};
  std::string user{};
  std::string expires{};  // "30d"; "" = never
};
int TokenCreate(Context& context, const TokenOptions& options);
int TokenList(Context& context);
// Goes on after an error; the first one's exit code.
int TokenRevoke(Context& context, const std::vector<std::string>& tokens);

struct TopOptions {
  bool once = false;  // as text, and no more; so it is where stdout is no terminal
  std::string every = "1s";
};
int Top(Context& context, const TopOptions& options);

struct WebhookOptions {
  std::string url{};
  std::string name{};
  std::vector<std::string> on{};  // states; none: those in which a job ends
};
int WebhookCreate(Context& context, const WebhookOptions& options);
int WebhookList(Context& context);
// Go on after an error; the first one's exit code.
int WebhookDelete(Context& context, const std::vector<std::string>& webhooks);
// Exit code 1 when it did not take the message.
int WebhookTest(Context& context, const std::string& webhook);
int WebhookSecret(Context& context);

// `tutti simulate whatif` on this cluster's own jobs. `args`: its words.
int WhatIf(Context& context, std::vector<std::string> args);

// Replaces this process by a sibling program. Returns only when that failed.
int ExecSibling(Context& context, const std::string& program, const std::vector<std::string>& args);

// ---- models ----------------------------------------------------------------------------------

int ModelList(Context& context);
int ModelShow(Context& context, const std::string& model);

struct TryOptions {
  std::string model{};
  std::vector<std::string> texts{};  // none: lines of stdin
  int top_k = 3;
  bool stream = false;  // answers as they are written; taken for granted on a terminal
  nlohmann::json generation = nlohmann::json::object();  // of a language model; empty: as it is
};
int ModelTry(Context& context, const TryOptions& options);
int ModelEval(Context& context, const std::string& model, const std::string& data);
int ModelExport(Context& context, const std::string& model, const std::string& directory);
// An adapter and its base as one model in `directory`, merged by the sibling tutti-engine.
int ModelMerge(Context& context, const std::string& model, const std::string& directory);

// ---- the rest --------------------------------------------------------------------------------

int Completion(Context& context, const std::string& shell, const std::vector<CommandWords>& words);
int PrintVersion(Context& context);

}  // namespace tutti::cli
