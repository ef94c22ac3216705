// The dashboard: an address for one use, opened in a browser.
#include "jobs/cli/ui.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/file/file.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;

// A page only its owner can read that goes on to `url`: every user of a machine sees the arguments
// of programs.
Result<fs::path> WriteLeadingPage(const client::Endpoint& at, const std::string& url) {
  std::error_code ignored;
  const fs::path path =
      at.data_dir.empty()
          ? fs::temp_directory_path(ignored) / ("tutti-ui-" + std::to_string(::getuid()) + ".html")
          : at.data_dir / "ui.html";
  const std::string page =
      "<!doctype html><meta charset=\"utf-8\"><title>Tutti</title>"
      "<meta http-equiv=\"refresh\" content=\"0;url=" +
      url + "\"><p>This goes on to the dashboard.\n";
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(path, page, {.mode = 0600}));
  return path;
}

// Whether the program could be started; it is not waited for.
bool Start(const std::string& program, const std::string& argument) {
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return false;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  }
  std::string first = program;
  std::string second = argument;
  std::array<char*, 3> words = {first.data(), second.data(), nullptr};
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, program.c_str(), &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return failed == 0;
}

bool OpenInBrowser(Context& context, const client::Endpoint& at, const std::string& url) {
  const auto browser = context.env("BROWSER");
  if (!browser && !context.env("DISPLAY") && !context.env("WAYLAND_DISPLAY")) return false;
  const auto page = WriteLeadingPage(at, url);
  if (!page) {
    context.console.Warn(page.error().ToString());
    return false;
  }
  return Start(browser.value_or("xdg-open"), "file://" + page->string());
}

}  // namespace

int Ui(Context& context, const UiOptions& options) {
  Console& console = context.console;
  const auto at = context.client.endpoint();
  if (!at) return console.Complain(at.error());
  auto ticket = context.client.Post("/api/v1/ui/tickets", nlohmann::json::object());
  if (!ticket) return console.Complain(ticket.error());
  const std::string url = at->url.ToString() + TextAt(*ticket, "/path");
  if (console.json()) {
    console.OutJson({{"url", url}, {"expires_at", TextAt(*ticket, "/expires_at")}});
    return kOk;
  }
  if (!options.print && OpenInBrowser(context, *at, url)) {
    console.Note("the dashboard opens in your browser: " + at->url.ToString() + "/ui/");
    return kOk;
  }
  console.Out(url);
  console.Note("open it within a minute; it works once, then the browser stays signed in");
  return kOk;
}

}  // namespace tutti::cli
