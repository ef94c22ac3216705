#include "common/base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <utility>

#include "common/base/time.h"

namespace tutti {
namespace {

std::atomic<LogLevel> level_min{kInfo};
std::string& Program() {
  static std::string name = "tutti";
  return name;
}

constexpr char LevelLetter(LogLevel level) {
  switch (level) {
    case kDebug:
      return 'D';
    case kInfo:
      return 'I';
    case kWarning:
      return 'W';
    case kError:
      return 'E';
  }
  return '?';
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

void AppendText(std::string& line, std::string_view text) {
  if (!NeedsQuotes(text)) {
    line += text;
    return;
  }
  line += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(c) & 0xffU);
      line += escape;
    } else {
      line += c;
    }
  }
  line += '"';
}

struct AppendValue {
  std::string& line;
  void operator()(const std::string& v) const { AppendText(line, v); }
  void operator()(std::int64_t v) const { line += std::to_string(v); }
  void operator()(double v) const {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", v);
    line += text;
  }
  void operator()(bool v) const { line += v ? "true" : "false"; }
};

}  // namespace

void ConfigureLog(std::string program, LogLevel level) {
  Program() = std::move(program);
  level_min = level;
}

std::string FormatLogLine(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line(event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    std::visit(AppendValue{line}, field.value);
  }
  return line;
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < level_min) return;
  std::string line = WallNow().ToRfc3339() + " " + LevelLetter(level) + " " + Program() + " " +
                     FormatLogLine(event, fields) + "\n";
  // One write: lines of several threads and processes do not mix. Nothing to do if stderr is gone.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace tutti
