// What a webhook says: a JSON object, the same for every receiver, with the `text` that Slack and
// what understands its messages show. Pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/time.h"
#include "jobs/spec/states.h"

namespace tutti::webhooks {

// A job came into a state.
struct News {
  std::string id = {};  // of this message; the same whenever it is sent
  std::uint64_t seq = 0;
  WallTime at = {};
  spec::JobState state = {};
  std::string reason = {};   // "" = none
  std::string message = {};  // "" = none
  std::uint32_t attempt = 0;
  std::string metrics_json = {};  // of a model; "" = none

  std::string job = {};
  std::string name = {};
  std::string user = {};
  std::string queue = {};
  std::string task = {};
  std::string model = {};
  std::string page = {};  // the job's address in the dashboard
};

// {"id", "type": "job.failed", "at", "seq", "text", "job": {…}}
std::string MessageOf(const News& news);
// {"id", "type": "ping", "at", "text"}
std::string PingOf(const std::string& id, WallTime at);

}  // namespace tutti::webhooks
