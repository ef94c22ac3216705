// How handlers answer: read on the loop's thread, render off it. Any thread.
#pragma once

#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "scheduler/coordinator/api.h"

namespace tutti::coordinator {

// The schema of an answer that is the job object.
inline constexpr const char* kJobSchema = R"({"$ref": "#/components/schemas/Job"})";

// Answers with `render(read(view))`: `read` runs on the loop's thread and copies, `render` on a
// render thread.
template <typename ReadFn, typename RenderFn>
void AnswerRead(Api& api, const http::Responder& responder, ReadFn read, RenderFn render) {
  api.loop.Read([&api, responder, read = std::move(read),
                 render = std::move(render)](const Result<View>& view) {
    if (!view) {
      responder.Send(view.error());
      return;
    }
    auto result = read(*view);
    if (!result) {
      responder.Send(result.error());
      return;
    }
    auto copy = std::make_shared<std::decay_t<decltype(*result)>>(std::move(*result));
    boost::asio::post(api.render, [responder, render, copy] { responder.Send(render(*copy)); });
  });
}

// 200 with `{"data": […]}`, each row as `show` has it.
template <typename Rows, typename Show>
http::Response DataAnswer(const Rows& rows, Show show) {
  nlohmann::json data = nlohmann::json::array();
  for (const auto& row : rows) data.push_back(show(row));
  return http::Json(200, {{"data", std::move(data)}});
}

// `then` on the loop's thread with the job that `text` names; answers itself when there is none.
void WithJob(Api& api, const http::Responder& responder, const std::string& text,
             std::function<void(const core::Job&)> then);

// The job object.
void AnswerJob(Api& api, const http::Responder& responder, const std::string& text, int status);

// Runs on the loop's thread; 503 when the loop takes no more.
void DoOrRefuse(Api& api, const http::Responder& responder, Work work);

// Members of a request's body: kInvalid for keys not in `known`, for a body that is no object.
Status CheckKeys(const nlohmann::json& body, std::initializer_list<std::string_view> known);
// A whole number of the body in [min, max]; `missing` when it is not there. kInvalid.
Result<std::int64_t> NumberIn(const nlohmann::json& body, const char* name, std::int64_t min,
                              std::int64_t max, std::optional<std::int64_t> missing);
// 1 to 63 printable ASCII characters without blanks at the ends; `missing` when it is not there.
// kInvalid.
Result<std::string> WordIn(const nlohmann::json& body, const char* name,
                           const std::string& missing);
// Whether the body says so; false when it says nothing. kInvalid for anything but true and false.
Result<bool> FlagIn(const nlohmann::json& body, const char* name);
// The request's body, `{}` when none came.
const nlohmann::json& BodyOf(const http::Request& request);

}  // namespace tutti::coordinator
