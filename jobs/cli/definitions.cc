#include "jobs/cli/definitions.h"

#include <CLI/Validators.hpp>

#include "jobs/cli/exit_codes.h"
#include "jobs/cli/export_runs.h"
#include "jobs/cli/man.h"
#include "jobs/cli/several.h"
#include "jobs/cli/ui.h"
#include "jobs/cli/unsupported.h"
#include "jobs/spec/names.h"
#include "jobs/spec/states.h"
#include "jobs/supervisor/options.h"

namespace tutti::cli {
namespace {

constexpr const char* kJobs = "Jobs";
constexpr const char* kModels = "Models";
constexpr const char* kCluster = "Cluster";
constexpr const char* kLater = "Not supported yet";

using Jobs = std::vector<std::string>;

CLI::Option* JobsArgument(Definitions& d, CLI::App* command, Jobs& into) {
  d.job_commands.push_back(command);
  return command->add_option("JOB", into, "Ids, prefixes of them, or names")->type_name("...");
}

std::vector<std::string> Strings(std::span<const std::string_view> names) {
  return {names.begin(), names.end()};
}

}  // namespace

void DefineSubmitting(Definitions& d) {
  auto* submit = d.Add(&d.app, "submit", "Submit a job spec (YAML or JSON)", kJobs);
  auto submitted = std::make_shared<SubmitOptions>();
  submit->add_option("SPEC", submitted->spec, "The spec's file; - reads stdin")
      ->required()
      ->type_name("");
  submit->add_option("--set", submitted->sets, "Override a field: training.learning_rate=1e-4")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  auto* dry = submit->add_flag("--dry-run", submitted->dry_run,
                               "Inspect data and model, print the estimate, create no job");
  submit->add_flag("--hold", submitted->hold, "Keep it queued until `tutti resume`")->excludes(dry);
  submit->add_flag("-f,--follow", submitted->follow, "Show its progress until it ends")
      ->excludes(dry);
  d.On(submit, [submitted](Context& c) { return Submit(c, *submitted); });

  auto* init = d.Add(&d.app, "init", "Write a job spec from answers, flags or a data file", kJobs);
  auto inited = std::make_shared<InitOptions>();
  init->add_option("FILE", inited->path, "Where to write it")->capture_default_str()->type_name("");
  init->add_option("--train", inited->train, "Training data")->type_name("FILE");
  init->add_option("--eval", inited->eval, "Evaluation data, or a fraction of the training data");
  init->add_option("--model", inited->model, "A Hugging Face directory")->type_name("DIR");
  init->add_option("--task", inited->task, "The task; guessed from the data's columns")
      ->check(CLI::IsMember(Strings(spec::TaskNames())));
  init->add_option("--name", inited->name, "The job's name");
  init->add_flag("--force", inited->force, "Replace the file");
  init->add_flag("--schema", inited->schema, "Print the JSON Schema of specs and write nothing");
  d.On(init, [inited](Context& c) { return Init(c, *inited); });

  auto* clone = d.Add(&d.app, "clone", "Submit a job's spec again", kJobs);
  auto cloned = std::make_shared<CloneOptions>();
  d.JobArgument(clone, cloned->job);
  clone->add_option("--name", cloned->name, "Another name for it");
  clone->add_flag("--hold", cloned->hold, "Keep it queued until `tutti resume`");
  clone->add_flag("-f,--follow", cloned->follow, "Show its progress until it ends");
  d.On(clone, [cloned](Context& c) { return Clone(c, *cloned); });
}

namespace {

// How a language model's texts are chosen, by the names of the request's "generation".
void AddGeneration(CLI::App& command, const std::shared_ptr<TryOptions>& tried) {
  const auto whole = [&](const char* option, const char* name, const char* help) {
    command.add_option_function<std::int64_t>(
        option, [tried, name](std::int64_t value) { tried->generation[name] = value; }, help);
  };
  const auto number = [&](const char* option, const char* name, const char* help) {
    command.add_option_function<double>(
        option, [tried, name](double value) { tried->generation[name] = value; }, help);
  };
  whole("--max-new-tokens", "max_new_tokens", "Tokens of an answer at most, of a language model");
  whole("--num-beams", "num_beams", "Beam search with as many beams");
  whole("--sample-top-k", "top_k", "Sample among the likeliest tokens");
  whole("--seed", "seed", "Sample, the same for the same seed");
  number("--temperature", "temperature", "Sample; below 1 keeps closer to the likeliest");
  number("--top-p", "top_p", "Sample among the likeliest that hold this probability");
  number("--repetition-penalty", "repetition_penalty", "Above 1 weakens tokens that were there");
  command
      .add_option_function<std::vector<std::string>>(
          "--stop",
          [tried](const std::vector<std::string>& texts) { tried->generation["stop"] = texts; },
          "A text that ends an answer; may be given again")
      ->allow_extra_args(false);
  command.add_option_function<std::string>(
      "--system", [tried](const std::string& text) { tried->generation["system"] = text; },
      "Of a chat: what comes before the text");
  command.add_flag_function(
      "--chat,!--no-chat", [tried](std::int64_t count) { tried->generation["chat"] = count > 0; },
      "Ask by the model's chat template, or not; without either as the model was tuned");
}

void DefineLooking(Definitions& d) {
  auto* ps = d.Add(&d.app, "ps", "List jobs, newest first", kJobs);
  auto listed = std::make_shared<PsOptions>();
  ps->add_flag("-a,--all", listed->all, "Those that finished more than an hour ago too");
  ps->add_option("--state", listed->state, "Only those in this state")
      ->check(CLI::IsMember(Strings(spec::JobStateNames())));
  ps->add_option("--name", listed->name, "Only those of this name");
  ps->add_option("-n,--limit", listed->limit, "At most that many")->check(CLI::PositiveNumber);
  d.On(ps, [listed](Context& c) { return Ps(c, *listed); });

  const auto simple = [&](const char* name, const char* what,
                          int (*run)(Context&, const std::string&)) {
    auto* command = d.Add(&d.app, name, what, kJobs);
    auto job = std::make_shared<std::string>();
    d.JobArgument(command, *job);
    d.On(command, [job, run](Context& c) { return run(c, *job); });
  };
  auto* show = d.Add(&d.app, "show", "Show all about jobs", kJobs);
  auto shown = std::make_shared<ShowOptions>();
  auto shown_jobs = std::make_shared<Jobs>();
  JobsArgument(d, show, *shown_jobs)->required();
  show->add_flag("--plot", shown->plot, "Draw its loss and its evaluations");
  show->add_option("--curve", shown->curves,
                   "Draw this one: loss, learning_rate, grad_norm, tokens_per_second, "
                   "memory_bytes, eval.accuracy, …; several with commas")
      ->delimiter(',');
  show->add_flag("--samples", shown->samples,
                 "Show what a language model answered, at each evaluation");
  d.On(show, [shown, shown_jobs](Context& c) { return ShowEach(c, *shown_jobs, *shown); });
  simple("why", "Say why a job waits or failed, and what to do", Why);

  auto* logs = d.Add(&d.app, "logs", "Print what jobs' ranks wrote", kJobs);
  auto logged = std::make_shared<LogsOptions>();
  auto logged_jobs = std::make_shared<Jobs>();
  JobsArgument(d, logs, *logged_jobs)->required();
  logs->add_flag("-f,--follow", logged->follow, "Go on until the jobs end, all of them at once");
  logs->add_option("--rank", logged->rank, "Which rank (default: all, in the order of time)")
      ->check(CLI::NonNegativeNumber);
  logs->add_option("--attempt", logged->attempt, "Which attempt (default: the newest)")
      ->check(CLI::PositiveNumber);
  logs->add_option("--tail", logged->tail, "Only the last so many lines")
      ->check(CLI::Range(0, 10'000));
  logs->add_option("--since", logged->since, "Only what was written in the last 10m, 2h, …");
  logs->add_option("--grep", logged->grep, "Only lines that have this text");
  logs->add_flag("-n,--line-number", logged->numbers, "Number the lines of each rank");
  d.On(logs, [logged, logged_jobs](Context& c) { return LogsOf(c, *logged_jobs, *logged); });

  auto* events =
      d.Add(&d.app, "events", "Print what happened to jobs; without one: follow all", kJobs);
  auto evented = std::make_shared<EventsOptions>();
  auto evented_jobs = std::make_shared<Jobs>();
  JobsArgument(d, events, *evented_jobs);
  events->add_flag("-f,--follow", evented->follow, "Go on until the jobs end");
  d.On(events,
       [evented, evented_jobs](Context& c) { return EventsOf(c, *evented_jobs, *evented); });

  auto* wait =
      d.Add(&d.app, "wait", "Wait for jobs' ends; exit by the first that did not succeed", kJobs);
  auto waited = std::make_shared<WaitOptions>();
  auto waited_jobs = std::make_shared<Jobs>();
  JobsArgument(d, wait, *waited_jobs)->required();
  wait->add_option("--timeout", waited->timeout, "Exit 8 after that long: 60s, 10m")
      ->type_name("TIME");
  d.On(wait, [waited, waited_jobs](Context& c) { return WaitForAll(c, *waited_jobs, *waited); });
}

void DefineSteering(Definitions& d) {
  const auto act = [&](const char* name, const char* what) {
    auto* command = d.Add(&d.app, name, what, kJobs);
    auto jobs = std::make_shared<std::vector<std::string>>();
    JobsArgument(d, command, *jobs)->required();
    d.On(command, [jobs, action = std::string(name)](Context& c) { return Act(c, action, *jobs); });
  };
  act("cancel", "Stop jobs for good");
  act("pause", "Checkpoint jobs and take them off their workers");

  auto* resume = d.Add(&d.app, "resume", "Let a paused or held job go on", kJobs);
  auto resumed = std::make_shared<ResumeOptions>();
  d.JobArgument(resume, resumed->job);
  resume->add_option("--ranks", resumed->ranks, "With that many ranks")->check(CLI::PositiveNumber);
  resume->add_flag("--any-cpu", resumed->any_cpu,
                   "On any CPU and engine, though the weights' last bits will differ");
  d.On(resume, [resumed](Context& c) { return Resume(c, *resumed); });

  auto* resize = d.Add(&d.app, "resize", "Change a running job's number of ranks", kJobs);
  auto resized = std::make_shared<std::pair<std::string, int>>();
  d.JobArgument(resize, resized->first);
  resize->add_option("--ranks", resized->second, "How many")
      ->required()
      ->check(CLI::PositiveNumber);
  d.On(resize, [resized](Context& c) { return Resize(c, resized->first, resized->second); });
}

void DefineExporting(Definitions& d) {
  auto* command =
      d.Add(&d.app, "export", "A job's curves for other tools: mlflow tensorboard", kJobs);
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, const char* where,
                       int (*run)(Context&, const ExportOptions&)) {
    auto* below = d.Add(command, name, what);
    auto options = std::make_shared<ExportOptions>();
    d.JobArgument(below, options->job);
    below->add_option("DIR", options->directory, where)->required()->type_name("");
    d.On(below, [options, run](Context& c) { return run(c, *options); });
    return std::pair(below, options);
  };
  const auto [mlflow, options] =
      add("mlflow", "Write it as a run of MLflow: parameters, metrics, tags, the model's card",
          "MLflow's folder of runs (mlruns); other runs in it stay", ExportMlflow);
  mlflow->add_option("--experiment", options->experiment, "Under which name of an experiment")
      ->capture_default_str();
  add("tensorboard", "Write it as an event file of TensorBoard",
      "TensorBoard's --logdir; the job gets a folder in it", ExportTensorboard);
}

}  // namespace

void DefineJobs(Definitions& d) {
  DefineLooking(d);
  DefineSteering(d);
  DefineExporting(d);
}

void DefineModels(Definitions& d) {
  auto* model = d.Add(&d.app, "model", "Finished models: list show try eval export merge", kModels);
  model->require_subcommand(1);

  d.On(d.Add(model, "list", "List models, newest first"), ModelList);

  auto* show = d.Add(model, "show", "Show a model and its files");
  auto shown = std::make_shared<std::string>();
  d.ModelArgument(show, *shown);
  d.On(show, [shown](Context& c) { return ModelShow(c, *shown); });

  auto* attempt = d.Add(model, "try", "Answer texts, given as arguments or one a line on stdin");
  auto tried = std::make_shared<TryOptions>();
  d.ModelOrFolderArgument(attempt, tried->model);
  attempt->add_option("TEXT", tried->texts, "The texts")->type_name("");
  attempt->add_option("--top-k", tried->top_k, "How many labels a text, of a classifier")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  attempt->add_flag("--stream", tried->stream,
                    "Show an answer while it is written; so it is on a terminal anyway");
  AddGeneration(*attempt, tried);
  d.On(attempt, [tried](Context& c) { return ModelTry(c, *tried); });

  auto* eval = d.Add(model, "eval", "Measure a model on a data file");
  auto evaluated = std::make_shared<std::pair<std::string, std::string>>();
  d.ModelOrFolderArgument(eval, evaluated->first);
  eval->add_option("--data", evaluated->second, "JSONL, CSV or TSV")->required()->type_name("FILE");
  d.On(eval, [evaluated](Context& c) { return ModelEval(c, evaluated->first, evaluated->second); });

  auto* take = d.Add(model, "export", "Write a model as a Hugging Face directory");
  auto exported = std::make_shared<std::pair<std::string, std::string>>();
  d.ModelArgument(take, exported->first);
  take->add_option("DIR", exported->second, "A folder that is not there, or empty")
      ->required()
      ->type_name("");
  d.On(take, [exported](Context& c) { return ModelExport(c, exported->first, exported->second); });

  auto* merge =
      d.Add(model, "merge", "Write an adapter and its base as one Hugging Face directory");
  auto merged = std::make_shared<std::pair<std::string, std::string>>();
  d.ModelOrFolderArgument(merge, merged->first);
  merge->add_option("DIR", merged->second, "A folder that is not there, or empty")
      ->required()
      ->type_name("");
  d.On(merge, [merged](Context& c) { return ModelMerge(c, merged->first, merged->second); });
}

namespace {

// Without one of these words, ParseCommandLine runs the sibling program.
void DefineWorkers(Definitions& d) {
  auto* worker =
      d.Add(&d.app, "worker",
            "Workers: list token remove drain undrain; with options: run tutti-worker", kCluster);
  worker->require_subcommand(1);
  d.On(d.Add(worker, "list", "List workers"), WorkerList);

  auto* token = d.Add(worker, "token",
                      "Print a string that lets one worker of another machine in: tutti worker "
                      "--join STRING");
  auto wanted = std::make_shared<WorkerTokenOptions>();
  token->add_option("--expires", wanted->expires, "How long it can be used: 30m, 24h, 7d")
      ->capture_default_str()
      ->type_name("TIME");
  token->add_option("--name", wanted->name, "The worker has to have this name");
  d.On(token, [wanted](Context& c) { return WorkerToken(c, *wanted); });

  auto* remove = d.Add(worker, "remove", "Take workers' keys back: they stop and stay out");
  auto removed = std::make_shared<std::vector<std::string>>();
  remove->add_option("NAME", *removed, "Their names")->required()->type_name("...");
  d.On(remove, [removed](Context& c) { return WorkerRemove(c, *removed); });

  auto* drain =
      d.Add(worker, "drain",
            "Empty workers: their jobs checkpoint and go on elsewhere, nothing new comes");
  auto drained = std::make_shared<DrainOptions>();
  drain->add_option("NAME", drained->workers, "Their names")->required()->type_name("...");
  auto* wait = drain->add_flag("--wait", drained->wait, "Until nothing runs there any more");
  drain->add_option("--timeout", drained->timeout, "With --wait: exit 8 after that long")
      ->type_name("TIME")
      ->needs(wait);
  d.On(drain, [drained](Context& c) { return WorkerDrain(c, *drained); });

  auto* undrain = d.Add(worker, "undrain", "Let drained workers take jobs again");
  auto names = std::make_shared<std::vector<std::string>>();
  undrain->add_option("NAME", *names, "Their names")->required()->type_name("...");
  d.On(undrain, [names](Context& c) { return WorkerUndrain(c, *names); });
}

void DefineTokens(Definitions& d) {
  auto* token =
      d.Add(&d.app, "token", "Tokens for people and programs: create list revoke", kCluster);
  token->require_subcommand(1);

  auto* create = d.Add(token, "create", "Make a token and print it, this once");
  auto created = std::make_shared<TokenOptions>();
  create
      ->add_option("--scope", created->scope,
                   "viewer looks, submitter runs jobs and changes its own, admin does everything")
      ->capture_default_str()
      ->check(CLI::IsMember({"viewer", "submitter", "admin"}));
  create->add_option("--user", created->user, "Whose jobs it makes (default: yours)");
  create->add_option("--name", created->name, "What it is for");
  create->add_option("--expires", created->expires, "After that long: 12h, 30d (default: never)")
      ->type_name("TIME");
  d.On(create, [created](Context& c) { return TokenCreate(c, *created); });

  d.On(d.Add(token, "list", "List tokens"), TokenList);

  auto* revoke = d.Add(token, "revoke", "End tokens at once");
  auto revoked = std::make_shared<std::vector<std::string>>();
  revoke->add_option("TOKEN", *revoked, "Ids, or names")->required()->type_name("...");
  d.On(revoke, [revoked](Context& c) { return TokenRevoke(c, *revoked); });
}

}  // namespace

void DefineCluster(Definitions& d) {
  auto* up = d.Add(&d.app, "up", "Start a cluster on this machine", kCluster);
  auto started = std::make_shared<UpCommand>();
  up->add_option("--workers", started->workers, "How many workers")
      ->capture_default_str()
      ->check(CLI::Range(1, supervisor::kWorkersMax));
  up->add_option("--slots-per-worker", started->slots_per_worker,
                 "Ranks that fit one worker (default: the cores, shared among the workers)")
      ->check(CLI::Range(1, 4096));
  up->add_option("--http", started->http, "Where to listen; port 0 takes a free one")
      ->capture_default_str()
      ->type_name("HOST:PORT");
  up->add_option("--zmq", started->zmq, "Where workers connect (default: beside --http)")
      ->type_name("HOST:PORT");
  up->add_option("--advertise", started->advertise,
                 "Name or address by which other machines reach this one (default: found out)")
      ->type_name("HOST");
  up->add_option("--webhooks-to", started->webhooks_to,
                 "Networks where webhooks of jobs may go: public, private, loopback, link-local, "
                 "with commas")
      ->type_name("LIST");
  up->add_option("--tls-cert", started->tls_cert,
                 "Certificate and chain, PEM (default: one signed by itself)")
      ->type_name("FILE");
  up->add_option("--tls-key", started->tls_key, "Its key, PEM")->type_name("FILE");
  up->add_flag("--tls", started->tls, "HTTPS on loopback too; off loopback it is always on");
  up->add_flag("--detach", started->detach, "Return once it is up; `tutti down` stops it");
  d.On(up, [started](Context& c) { return UpCluster(c, *started); });

  d.On(d.Add(&d.app, "down", "Stop it; running jobs checkpoint first", kCluster), DownCluster);

  DefineQueues(d);
  d.Add(&d.app, "simulate", "On a virtual clock: trace, faults, whatif (tutti-simulate)", kCluster);

  DefineWorkers(d);
  d.Add(&d.app, "coordinator", "Run tutti-coordinator with the words that follow", kCluster);

  d.On(d.Add(&d.app, "doctor", "Check this machine; exit 1 if something is wrong", kCluster),
       Doctor);

  auto* top = d.Add(&d.app, "top", "Watch machines, jobs and the queue; q leaves", kCluster);
  auto watched = std::make_shared<TopOptions>();
  top->add_flag("--once", watched->once, "Print it once; so it is where stdout is no terminal");
  top->add_option("--every", watched->every, "How often it looks again")
      ->capture_default_str()
      ->type_name("TIME");
  d.On(top, [watched](Context& c) { return Top(c, *watched); });

  DefineTokens(d);
  DefineWebhooks(d);

  auto* ui = d.Add(&d.app, "ui", "Open the dashboard in a browser", kCluster);
  auto shown = std::make_shared<UiOptions>();
  ui->add_flag("--print", shown->print, "Print its address, good for one use within a minute");
  d.On(ui, [shown](Context& c) { return Ui(c, *shown); });

  auto* completion = d.Add(&d.app, "completion", "Print a shell's completion script", kCluster);
  auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  d.On(completion, [&d, shell](Context& c) { return Completion(c, *shell, d.Words()); });

  auto* man = d.Add(&d.app, "man", "Print the manual page: tutti man | man -l -", kCluster);
  d.On(man, [&d](Context& c) { return Man(c, d.app); });
}

void DefineUnsupported(Definitions& d) {
  for (const Unsupported& command : UnsupportedCommands()) {
    const std::string path(command.path);
    const std::size_t space = path.find(' ');
    CLI::App* parent =
        space == std::string::npos ? &d.app : d.app.get_subcommand(path.substr(0, space));
    const std::string name = space == std::string::npos ? path : path.substr(space + 1);
    auto* added = d.Add(parent, name.c_str(), std::string(command.what).c_str(), kLater);
    added->allow_extras()->fallthrough(false);
    d.On(added, [&command](Context& c) {
      c.console.Complain(Error{ErrorCode::kUnsupported, "not supported yet",
                               "tutti " + std::string(command.path), std::string(command.hint)});
      return static_cast<int>(kUsage);
    });
  }
}

}  // namespace tutti::cli
