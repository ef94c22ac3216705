#include "scheduler/coordinator/answers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "scheduler/coordinator/job_json.h"

namespace tutti::coordinator {

using nlohmann::json;

void WithJob(Api& api, const http::Responder& responder, const std::string& text,
             std::function<void(const core::Job&)> then) {
  api.loop.Read([responder, text, then = std::move(then)](const Result<View>& view) {
    if (!view) {
      responder.Send(view.error());
      return;
    }
    const auto job = JobReader::FindJob(*view, text);
    if (!job) {
      responder.Send(job.error());
      return;
    }
    then(*job);
  });
}

void AnswerJob(Api& api, const http::Responder& responder, const std::string& text, int status) {
  AnswerRead(
      api, responder, [&api, text](const View& view) { return api.jobs.Find(view, text); },
      [&api, status](const JobView& job) {
        return http::Json(status, JobJson(job, api.models_dir()));
      });
}

void DoOrRefuse(Api& api, const http::Responder& responder, Work work) {
  if (api.loop.Do(std::move(work))) return;
  responder.Send(Error{ErrorCode::kUnavailable,
                       "the coordinator takes no more requests now",
                       {},
                       "try again in a moment"});
}

Status CheckKeys(const json& body, std::initializer_list<std::string_view> known) {
  if (!body.is_object()) return Fail(ErrorCode::kInvalid, "the body must be a JSON object");
  for (const auto& [name, value] : body.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Fail(ErrorCode::kInvalid, "unknown member '" + name + "'", "#/" + name);
    }
  }
  return {};
}

Result<std::int64_t> NumberIn(const json& body, const char* name, std::int64_t min,
                              std::int64_t max, std::optional<std::int64_t> missing) {
  const auto found = body.find(name);
  const std::string where = std::string("#/") + name;
  if (found == body.end() || found->is_null()) {
    if (missing) return *missing;
    return Fail(ErrorCode::kInvalid, "is required", where);
  }
  const bool fits = found->is_number_integer() &&
                    (!found->is_number_unsigned() ||
                     found->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  const std::int64_t value = fits ? found->get<std::int64_t>() : 0;
  if (!fits || value < min || value > max) {
    return Fail(
        ErrorCode::kInvalid,
        "must be a whole number between " + std::to_string(min) + " and " + std::to_string(max),
        where);
  }
  return value;
}

Result<std::string> WordIn(const json& body, const char* name, const std::string& missing) {
  constexpr std::size_t kWordMax = 63;
  const auto found = body.find(name);
  if (found == body.end()) return missing;
  const std::string* text = found->get_ptr<const std::string*>();
  const auto printable = [](unsigned char c) { return c >= 0x20 && c < 0x7f; };
  if (text == nullptr || text->empty() || text->size() > kWordMax || text->front() == ' ' ||
      text->back() == ' ' || !std::all_of(text->begin(), text->end(), printable)) {
    return Fail(ErrorCode::kInvalid,
                "it must be 1 to " + std::to_string(kWordMax) + " printable characters",
                std::string("#/") + name);
  }
  return *text;
}

Result<bool> FlagIn(const json& body, const char* name) {
  const auto found = body.find(name);
  if (found == body.end()) return false;
  if (found->is_boolean()) return found->get<bool>();
  return Fail(ErrorCode::kInvalid, "must be true or false", std::string("#/") + name);
}

const json& BodyOf(const http::Request& request) {
  static const json kEmpty = json::object();
  return request.json == nullptr ? kEmpty : *request.json;
}

}  // namespace tutti::coordinator
