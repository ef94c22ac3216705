#include <cstdio>

#include "worker/engine/request.h"
#include "worker/engine/tools.h"
#include "worker/finetune/export.h"

namespace tutti::engine {

using nlohmann::json;

int MergeByHand(const MergeArguments& arguments) {
  const auto files = finetune::MergeAdapter(arguments.from, arguments.to);
  if (arguments.json || !files) {
    return WriteByHand(files ? Result<json>(json{{"files", *files}}) : Fail(files.error()),
                       arguments.json);
  }
  for (const std::string& name : *files) std::printf("%s/%s\n", arguments.to.c_str(), name.c_str());
  return kExitOk;
}

}  // namespace tutti::engine
