// Structured log lines on stderr: a constant event name and fields.
//
//   Log(kInfo, "job_placed", {{"job", id.ToString()}, {"slots", 2}});
//
// One line a call, written whole. Thread-safe. Never log secrets.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace tutti {

enum LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <typename Int>
  requires std::is_integral_v<Int> LogField(std::string_view k, Int v)
      : key(k), value(static_cast<std::int64_t>(v)) {}

  std::string_view key;
  std::variant<std::string, std::int64_t, double, bool> value;
};

// Lines below `level` are dropped (default kInfo). `program` is the name in each line.
void ConfigureLog(std::string program, LogLevel level);
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
// The line Log would write, without time and program: `event key=value key="two words"`.
std::string FormatLogLine(std::string_view event, std::initializer_list<LogField> fields);

}  // namespace tutti
