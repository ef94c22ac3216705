// The commands of tutti-engine: command line in, exit status out. The same function runs after exec
// and in a child of the zygote. One thread.
#pragma once

#include <string>
#include <vector>

namespace tutti::engine {

// `arguments` without the program's name: {"train", "--link-fd", "3"}. Returns an ExitCode.
int RunCommandLine(const std::vector<std::string>& arguments);

}  // namespace tutti::engine
