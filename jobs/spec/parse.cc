#include "jobs/spec/parse.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "jobs/spec/json_text.h"
#include "jobs/spec/overrides.h"
#include "jobs/spec/problems.h"
#include "jobs/spec/read.h"
#include "jobs/spec/resolve.h"
#include "jobs/spec/support.h"
#include "jobs/spec/validate.h"

namespace tutti::spec {
namespace {

Draft Finish(const Node& root, Form form, Problems& problems, std::vector<std::string>& notes) {
  Draft draft = ReadDraft(root, form, problems);
  Resolve(draft, problems, notes);
  Validate(draft, problems);
  CheckSupport(draft, problems);
  return draft;
}

}  // namespace

tl::expected<Parsed, std::vector<Error>> ParseSpec(std::string_view text,
                                                   const ParseOptions& options) {
  Problems problems;
  const TextOptions text_options{.file_name = options.file_name};
  std::optional<Node> root = ReadText(text, text_options, problems.located());
  if (!root) return tl::unexpected(problems.Take());
  ApplyOverrides(options.sets, *root, problems);
  Parsed parsed;
  Draft draft = Finish(*root, Form::kWritten, problems, parsed.notes);
  if (!problems.empty()) return tl::unexpected(problems.Take());
  parsed.job = std::move(draft.job);
  parsed.sweep = std::move(draft.sweep);
  return parsed;
}

tl::expected<JobSpec, std::vector<Error>> FromJson(const nlohmann::json& resolved) {
  Problems problems;
  const std::optional<Node> root = ReadJson(resolved, {.file_name = ""}, problems.located());
  if (!root) return tl::unexpected(problems.Take());
  std::vector<std::string> notes;
  Draft draft = Finish(*root, Form::kResolved, problems, notes);
  if (!problems.empty()) return tl::unexpected(problems.Take());
  return std::move(draft.job);
}

std::optional<JobSpec> FromSoundTree(const Node& resolved) {
  Problems problems;
  std::vector<std::string> notes;
  Draft draft = Finish(resolved, Form::kResolved, problems, notes);
  if (!problems.empty()) return std::nullopt;
  return std::move(draft.job);
}

}  // namespace tutti::spec
