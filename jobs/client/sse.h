// Server-sent events out of a stream of bytes cut anywhere (WHATWG HTML, "9.2.6 Interpreting an
// event stream"). One thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tutti::client {

struct ServerEvent {
  std::string type = "message";
  std::string data{};  // lines joined with '\n'
  std::string id{};    // the newest one seen, this event's or an earlier one's

  bool operator==(const ServerEvent&) const = default;
};

class EventParser {
 public:
  // The events completed by `bytes`. Lines beyond 8 MiB are dropped.
  std::vector<ServerEvent> Feed(std::string_view bytes);
  const std::string& last_id() const { return last_id_; }

 private:
  void TakeLine(std::string_view line, std::vector<ServerEvent>& out);

  std::string line_;  // not ended yet
  bool skip_newline_ = false;
  std::string type_;
  std::string data_;
  bool has_data_ = false;
  std::string last_id_;
};

}  // namespace tutti::client
