#include "scheduler/webhooks/message.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace tutti::webhooks {
namespace {

using nlohmann::json;

constexpr std::size_t kMessageMax = 2000;  // bytes of what an engine said

// What Slack would read as a link, a mention or a channel is shown as it stands.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json MetricsOf(const News& news) {
  json metrics = json::parse(news.metrics_json, nullptr, false);
  return metrics.is_object() ? metrics : json();
}

std::string Numbers(const json& metrics) {
  std::string text;
  if (!metrics.is_object()) return text;
  for (const auto& [name, value] : metrics.items()) {
    if (!value.is_number()) continue;
    char number[32];
    std::snprintf(number, sizeof number, "%.4g", value.get<double>());
    text += (text.empty() ? "" : ", ") + name + " " + number;
  }
  return text;
}

std::string TextOf(const News& news, const json& metrics) {
  std::string text =
      Escaped(news.name) + " (" + news.job + ") is " + std::string(spec::ToString(news.state));
  if (spec::IsTerminal(news.state)) {
    text = Escaped(news.name) + " (" + news.job + ") " + std::string(spec::ToString(news.state));
  }
  if (news.state == spec::JobState::kFailed) text = "❌ " + text;
  if (news.state == spec::JobState::kSucceeded) text = "✅ " + text;
  for (const std::string& more : {news.reason, news.message, Numbers(metrics)}) {
    if (!more.empty()) text += ": " + Escaped(more);
  }
  return text + "\n" + Escaped(news.page);
}

json OrNull(const std::string& text) { return text.empty() ? json() : json(text); }

}  // namespace

std::string MessageOf(const News& given) {
  News news = given;
  if (news.message.size() > kMessageMax) news.message = news.message.substr(0, kMessageMax) + "…";
  const json metrics = MetricsOf(news);
  return Dump({{"id", news.id},
               {"type", "job." + std::string(spec::ToString(news.state))},
               {"at", news.at.ToRfc3339()},
               {"seq", news.seq},
               {"text", TextOf(news, metrics)},
               {"job",
                {{"id", news.job},
                 {"name", news.name},
                 {"user", news.user},
                 {"queue", news.queue},
                 {"task", news.task},
                 {"model", news.model},
                 {"state", spec::ToString(news.state)},
                 {"reason", OrNull(news.reason)},
                 {"message", OrNull(news.message)},
                 {"attempt", news.attempt == 0 ? json() : json(news.attempt)},
                 {"metrics", metrics},
                 {"url", news.page}}}});
}

std::string PingOf(const std::string& id, WallTime at) {
  return Dump({{"id", id},
               {"type", "ping"},
               {"at", at.ToRfc3339()},
               {"text", "Tutti can reach this webhook."}});
}

}  // namespace tutti::webhooks
