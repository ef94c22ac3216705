#include <unistd.h>

#include <system_error>

#include "jobs/cli/app.h"
#include "jobs/client/interrupt.h"

int main(int argc, char** argv) {
  tutti::client::ExitOnInterrupt();
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return tutti::cli::RunApp(std::vector<std::string>(argv + 1, argv + argc),
                            tutti::cli::ProcessStreams(), tutti::client::ProcessEnvironment(),
                            self.parent_path());
}
