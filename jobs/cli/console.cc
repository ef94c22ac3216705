#include "jobs/cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cctype>
#include <iostream>

#include "common/file/file.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"

namespace tutti::cli {
namespace {

std::function<void(std::string_view)> WriterOf(int fd) {
  return [fd](std::string_view text) {
    // A reader that went away (`| head`) ends the process by SIGPIPE, as it should.
    [[maybe_unused]] const Status status = WriteAll(fd, std::as_bytes(std::span(text)), "output");
  };
}

int TerminalWidth() {
  winsize size{};
  for (const int fd : {STDERR_FILENO, STDOUT_FILENO}) {
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  return 80;
}

// The first of these that is set decides; nothing set is taken for a modern terminal.
bool IsUnicode(const client::Environment& env) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (auto value = env(name)) {
      for (char& c : *value) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      return value->find("UTF-8") != std::string::npos || value->find("UTF8") != std::string::npos;
    }
  }
  return true;
}

bool WantsColor(ColorMode mode, bool terminal, const client::Environment& env) {
  switch (mode) {
    case ColorMode::kAlways:
      return true;
    case ColorMode::kNever:
      return false;
    case ColorMode::kAuto:
      return terminal && !env("NO_COLOR") && env("TERM") != "dumb";
  }
  return false;
}

}  // namespace

std::string Painted(std::string_view text, Paint paint, bool color) {
  const auto code = [paint] {
    switch (paint) {
      case Paint::kNone:
        return "";
      case Paint::kBold:
        return "\x1b[1m";
      case Paint::kDim:
        return "\x1b[2m";
      case Paint::kRed:
        return "\x1b[31m";
      case Paint::kGreen:
        return "\x1b[32m";
      case Paint::kYellow:
        return "\x1b[33m";
      case Paint::kCyan:
        return "\x1b[36m";
    }
    return "";
  };
  if (!color || paint == Paint::kNone || text.empty()) return std::string(text);
  return code() + std::string(text) + "\x1b[0m";
}

Streams ProcessStreams() {
  return {.out = WriterOf(STDOUT_FILENO),
          .err = WriterOf(STDERR_FILENO),
          .in = &std::cin,
          .in_terminal = ::isatty(STDIN_FILENO) == 1,
          .out_terminal = ::isatty(STDOUT_FILENO) == 1,
          .err_terminal = ::isatty(STDERR_FILENO) == 1,
          .width = TerminalWidth};
}

Console::Console(Streams streams, ConsoleOptions options, const client::Environment& env)
    : streams_(std::move(streams)),
      options_(options),
      out_color_(WantsColor(options.color, streams_.out_terminal, env)),
      err_color_(WantsColor(options.color, streams_.err_terminal, env)),
      unicode_(IsUnicode(env)) {}

void Console::Out(std::string_view line) { streams_.out(std::string(line) + "\n"); }

void Console::OutJson(const nlohmann::json& value) { Out(Dump(value)); }

void Console::Note(std::string_view line) {
  if (!options_.quiet) streams_.err(std::string(line) + "\n");
}

void Console::Warn(std::string_view line) {
  streams_.err(Painted("warning:", Paint::kYellow, err_color_) + " " + std::string(line) + "\n");
}

int Console::Complain(const Error& error) {
  std::string text;
  if (!error.where.empty()) text += Painted(error.where + ":", Paint::kBold, err_color_) + " ";
  text += Painted("error:", Paint::kRed, err_color_) + " " + error.message + "\n";
  if (!error.hint.empty()) text += "  " + error.hint + "\n";
  streams_.err(text);
  return ExitOf(client::Errors{error});
}

int Console::Complain(const client::Errors& errors) {
  for (const Error& error : errors) Complain(error);
  return ExitOf(errors);
}

}  // namespace tutti::cli
