// Where a command's words go: data on stdout, progress and errors on stderr, colours where they are
// wanted. Main thread only.
#pragma once

#include <functional>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "jobs/client/api.h"
#include "jobs/client/endpoint.h"

namespace tutti::cli {

enum class Paint { kNone, kBold, kDim, kRed, kGreen, kYellow, kCyan };
enum class ColorMode { kAuto, kAlways, kNever };

// `text` between the escape codes of `paint`; as it is for kNone or without colour.
std::string Painted(std::string_view text, Paint paint, bool color);

// The process's own, or a test's.
struct Streams {
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
  std::istream* in = nullptr;
  bool in_terminal = false;
  bool out_terminal = false;
  bool err_terminal = false;
  std::function<int()> width;  // columns of the terminal now
};
Streams ProcessStreams();

struct ConsoleOptions {
  ColorMode color = ColorMode::kAuto;
  bool json = false;
  bool quiet = false;
};

class Console {
 public:
  Console(Streams streams, ConsoleOptions options, const client::Environment& env);

  bool json() const { return options_.json; }
  bool quiet() const { return options_.quiet; }
  bool out_color() const { return out_color_; }
  bool err_color() const { return err_color_; }
  bool unicode() const { return unicode_; }
  bool in_terminal() const { return streams_.in_terminal; }
  bool out_terminal() const { return streams_.out_terminal; }
  bool err_terminal() const { return streams_.err_terminal; }
  // Columns of what stdout goes to; 0 = no bound, it is no terminal.
  int out_width() const { return streams_.out_terminal ? streams_.width() : 0; }
  int err_width() const { return streams_.width(); }
  std::istream& in() { return *streams_.in; }

  // Data: the text and a newline.
  void Out(std::string_view line);
  void OutRaw(std::string_view text) { streams_.out(text); }
  void OutJson(const nlohmann::json& value);
  // For people, on stderr; nothing with -q.
  void Note(std::string_view line);
  void Warn(std::string_view line);
  void ErrRaw(std::string_view text) { streams_.err(text); }

  // "spec.yaml:14:5: error: message", the hint below it. Their exit code, for the caller to return.
  int Complain(const Error& error);
  int Complain(const client::Errors& errors);

 private:
  Streams streams_;
  ConsoleOptions options_;
  bool out_color_;
  bool err_color_;
  bool unicode_;
};

}  // namespace tutti::cli
