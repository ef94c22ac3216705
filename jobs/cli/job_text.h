// Job objects, events and estimates as text for people. Pure functions of the API's JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "jobs/cli/console.h"

namespace tutti::cli {

Paint PaintOfState(std::string_view state);
// With the interval: "in 5 min (3 to 9 min; 2026-…)".
std::string EndText(const nlohmann::json& job, WallTime now);
// What would let it start now, one a line.
std::string HelpsText(const nlohmann::json& job);
// "in 5 min (2026-…)" of a job in the queue; "" when it waits for nothing, "not known" when nothing
// says when those before it end.
std::string StartText(const nlohmann::json& job, WallTime now);
// "1-4", "2", or "2 of 1-4" while it runs.
std::string RanksText(const nlohmann::json& job);
// "210/500 42%"; "" before there is any.
std::string StepsText(const nlohmann::json& job);
// The metric that says most: accuracy, bleu, rougeL, … loss. "" for an empty object.
std::string MainMetric(const nlohmann::json& metrics);
// "accuracy 0.731, loss 0.94".
std::string MetricsText(const nlohmann::json& metrics);

std::string RenderJobs(const nlohmann::json& jobs, WallTime now, int width, bool color);
std::string RenderJob(const nlohmann::json& job, WallTime now, int width, bool color);

// One line without job, time and newline: "attempt 1 placed: 2 ranks on a, b". An unknown type
// shows its fields.
std::string EventText(const nlohmann::json& event);

// The answer of POST /api/v1/inspect.
std::string RenderInspection(const nlohmann::json& answer, bool color);

}  // namespace tutti::cli
