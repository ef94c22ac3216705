#include "jobs/cli/app.h"

#include "jobs/cli/command_line.h"

namespace tutti::cli {

int RunApp(const std::vector<std::string>& args, Streams streams, const client::Environment& env,
           const std::filesystem::path& bin_dir) {
  const CommandLine line = ParseCommandLine(args);
  Console console(std::move(streams), line.console, env);
  client::Client client(line.endpoint, env);
  Context context{.console = console,
                  .client = client,
                  .endpoint = line.endpoint,
                  .env = env,
                  .bin_dir = bin_dir};
  return line.run(context);
}

}  // namespace tutti::cli
