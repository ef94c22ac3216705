#include "jobs/spec/support.h"

#include <fmt/format.h>

#include <array>

#include "jobs/spec/names.h"

namespace tutti::spec {
namespace {

constexpr std::string_view kLeaveOut = "leave it out";

constexpr std::array kLimits = {
    Limit{"task", "supported: text-classification, text-generation",
          [](const Draft& d) {
            return d.job.task != Task::kTextClassification && d.job.task != Task::kTextGeneration;
          }},
    Limit{"data.format", "supported: auto; text-label, or one of text-generation's",
          [](const Draft& d) { return d.job.data.format == DataFormat::kPairs; }},
    Limit{"data.packing",
          "supported: of text-generation; elsewhere rows of like length share a batch anyway",
          [](const Draft& d) { return d.job.data.packing && d.job.task != Task::kTextGeneration; }},
    Limit{"training.lr_scheduler_type", "supported: every other schedule",
          [](const Draft& d) {
            return d.job.training.lr_scheduler_type == SchedulerType::kReduceLrOnPlateau;
          }},
    Limit{"deploy.on_success", "supported: false",
          [](const Draft& d) { return d.job.deploy_on_success; }},
    Limit{"publish.app", kLeaveOut, [](const Draft& d) { return d.job.publish_app.has_value(); }},
};

// The value as a person wrote it, where it is a word.
std::string Subject(const Limit& limit, const Draft& draft) {
  if (const Field* field = FindField(limit.path)) {
    if (const auto* choice = std::get_if<Choice>(&field->access)) {
      return fmt::format("{} {}", limit.path, choice->get(draft));
    }
  }
  return std::string(limit.path);
}

}  // namespace

std::span<const Limit> Limits() { return kLimits; }

void CheckSupport(const Draft& draft, Problems& problems) {
  for (const Limit& limit : kLimits) {
    if (!draft.AreSound({limit.path}) || !limit.is_beyond(draft)) continue;
    problems.Add(ErrorCode::kUnsupported,
                 fmt::format("{} is not supported yet", Subject(limit, draft)),
                 draft.Where(limit.path), std::string(limit.instead));
  }
}

}  // namespace tutti::spec
