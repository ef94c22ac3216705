#include <set>

#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/follow.h"
#include "jobs/cli/inputs.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/spec_file.h"
#include "jobs/spec/parse.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

// The tool has ten minutes; a little for the way.
constexpr Duration kInspectTimeout = std::chrono::minutes(11);
constexpr Duration kSubmitRetry = std::chrono::seconds(20);

int DryRun(Context& context, const json& spec, const std::string& where) {
  auto answer =
      context.client.Post("/api/v1/inspect", {{"spec", spec}}, {.timeout = kInspectTimeout});
  if (!answer) {
    client::Errors errors = answer.error();
    for (Error& error : errors) {
      if (error.where.empty()) error.where = where;
    }
    return context.console.Complain(errors);
  }
  std::set<std::string> warnings;  // both lists may have the same
  for (const char* list : {"/estimate/warnings", "/report/warnings"}) {
    for (const json& warning : ListAt(*answer, list)) {
      warnings.insert(warning.is_string() ? warning.get<std::string>() : Dump(warning));
    }
  }
  for (const std::string& warning : warnings) context.console.Warn(warning);
  if (context.console.json()) {
    context.console.OutJson(*answer);
  } else {
    context.console.OutRaw(RenderInspection(*answer, context.console.out_color()));
    context.console.Note("nothing was submitted; without --dry-run it will be");
  }
  return kOk;
}

// Sends the job and, when asked to, follows it.
int Send(Context& context, const json& spec, bool hold, bool follow) {
  Console& console = context.console;
  const auto job = context.client.Post("/api/v1/jobs", {{"spec", spec}, {"hold", hold}},
                                       {.retry_for = kSubmitRetry, .idempotency_key = NewKey()});
  if (!job) {
    return console.Complain(job.error());
  }
  const std::string id = TextAt(*job, "/id");
  if (follow) {
    console.Note(id + " submitted");
    return Follow(context,
                  {.job = id, .stream_json = console.json(), .refused_is_validation = true});
  }
  if (console.json()) {
    console.OutJson(*job);
  } else if (console.quiet()) {
    console.Out(id);
  } else {
    console.Out(id + "  " + TextAt(*job, "/name") + "  " + TextAt(*job, "/state"));
    console.Note("follow it: tutti wait " + id + (hold ? "   release it: tutti resume " + id : ""));
  }
  return kOk;
}

}  // namespace

int Submit(Context& context, const SubmitOptions& options) {
  Console& console = context.console;
  const auto file = ReadSpecFile(context, options.spec);
  if (!file) {
    console.Complain(file.error());
    return file.error().code == ErrorCode::kTooLarge ? kValidation : kUsage;
  }
  const std::string& shown = file->shown;
  auto parsed = spec::ParseSpec(file->text, {.file_name = shown, .sets = options.sets});
  if (!parsed) {
    console.Complain(parsed.error());
    return kValidation;
  }
  if (parsed->sweep) {
    console.Complain(Error{ErrorCode::kInvalid, "is a sweep, not one job", shown,
                           "tutti sweep submit " + shown});
    return kValidation;
  }
  for (const std::string& note : parsed->notes) console.Note("note: " + note);
  auto resolved = ResolveInputs(parsed->job, file->base, PlacesIn(file->text, shown, options.sets),
                                context.client);
  if (!resolved) {
    return console.Complain(resolved.error());
  }
  parsed->job.inputs = std::move(resolved->inputs);
  if (const auto uploaded = Upload(context.client, resolved->files); !uploaded) {
    return console.Complain(uploaded.error());
  }
  const json spec = spec::ToJson(parsed->job);
  if (options.dry_run) return DryRun(context, spec, shown);
  return Send(context, spec, options.hold, options.follow);
}

int Clone(Context& context, const CloneOptions& options) {
  auto spec = context.client.Get(client::JobTarget(options.job, "/spec"));
  if (!spec) {
    return context.console.Complain(spec.error());
  }
  if (!options.name.empty()) (*spec)["name"] = options.name;
  return Send(context, *spec, options.hold, options.follow);
}

}  // namespace tutti::cli
