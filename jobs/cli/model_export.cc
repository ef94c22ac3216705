// A model's files into a folder of the user's, verified, whole or not at all.
#include <unistd.h>

#include "common/base/units.h"
#include "common/file/file.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/local_model.h"
#include "jobs/cli/model_folder.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using client::Answer;
using client::Fails;
using nlohmann::json;

Answer<void> DownloadAll(Context& context, const std::string& id, const json& model,
                         const fs::path& folder) {
  for (const json& file : ListAt(model, "/files")) {
    const ModelFileWanted wanted{
        .model = id, .path = TextAt(file, "/path"), .digest = TextAt(file, "/digest")};
    const auto to = JoinBeneath(folder, wanted.path);
    if (!to) return Fails(to.error());
    if (auto done = DownloadModelFile(context, wanted, *to); !done) return done;
  }
  return {};
}

// An existing folder is fine as long as it is empty.
Status CheckTarget(const fs::path& target) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(target, error))) return {};
  if (!fs::is_directory(target, error)) {
    return Fail(ErrorCode::kConflict, "it is there and no folder", target.string());
  }
  if (!fs::is_empty(target, error)) {
    return Fail(ErrorCode::kConflict, "the folder is not empty", target.string(),
                "name a new one, or empty it first");
  }
  return {};
}

fs::path TargetOf(const std::string& directory) {
  std::error_code error;
  fs::path target = fs::absolute(directory, error).lexically_normal();
  return target.has_filename() ? target : target.parent_path();
}

fs::path TemporaryOf(const fs::path& target, const char* ending) {
  fs::path temporary = target;
  temporary += ending + std::to_string(::getpid());
  return temporary;
}

// rename(2) replaces an empty folder, and nothing else.
Answer<void> MoveIntoPlace(const fs::path& temporary, const fs::path& target) {
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    return Fails(ErrnoError("cannot rename into place", target.string(), errno));
  }
  if (Status synced = SyncDirectory(target.parent_path()); !synced) return Fails(synced.error());
  return {};
}

Answer<void> Fetch(Context& context, const json& model, const fs::path& folder) {
  if (Status made = MakeDirectories(folder); !made) return Fails(made.error());
  return DownloadAll(context, TextAt(model, "/id"), model, folder);
}

// Both return what was merged.
Answer<std::string> MergeLocal(Context& context, const std::string& directory, const fs::path& to) {
  const auto folder = LocalModel::Find(context, directory);
  if (!folder) return tl::unexpected<client::Errors>(folder.error());
  const client::InterruptScope interrupts;
  const auto merged = MergeFolder(context, folder->directory(), to);
  if (!merged) return tl::unexpected<client::Errors>(merged.error());
  return directory;
}

Answer<std::string> MergeOfCluster(Context& context, const std::string& name,
                                   const fs::path& target, const fs::path& to) {
  const auto model = context.client.Get(client::ModelTarget(name));
  if (!model) return tl::unexpected<client::Errors>(model.error());
  const client::InterruptScope interrupts;
  const fs::path adapter = TemporaryOf(target, ".adapter-");
  Answer<void> done = Fetch(context, *model, adapter);
  if (done) done = MergeFolder(context, adapter, to);
  if (const Status removed = RemoveTree(adapter); !removed) {
    context.console.Warn(removed.error().ToString());
  }
  if (!done) return tl::unexpected<client::Errors>(done.error());
  return TextAt(*model, "/id");
}

}  // namespace

int ModelExport(Context& context, const std::string& name, const std::string& directory) {
  Console& console = context.console;
  const fs::path target = TargetOf(directory);
  if (Status free = CheckTarget(target); !free) {
    console.Complain(free.error());
    return kUsage;
  }
  const auto model = context.client.Get(client::ModelTarget(name));
  if (!model) {
    return console.Complain(model.error());
  }
  const client::InterruptScope interrupts;
  const fs::path temporary = TemporaryOf(target, ".tmp-");
  Answer<void> done = Fetch(context, *model, temporary);
  if (done) done = MoveIntoPlace(temporary, target);
  if (!done) {
    [[maybe_unused]] const Status removed = RemoveTree(temporary);
    return console.Complain(done.error());
  }
  std::int64_t size = 0;
  for (const json& file : ListAt(*model, "/files")) size += IntAt(file, "/size_bytes").value_or(0);
  if (console.json()) {
    console.OutJson({{"path", target.string()},
                     {"model", At(*model, "/id")},
                     {"digest", At(*model, "/digest")},
                     {"files", At(*model, "/files")}});
  } else {
    console.Out(target.string());
    console.Note(TextAt(*model, "/id") + ": " + std::to_string(ListAt(*model, "/files").size()) +
                 " files, " + FormatBytes(Bytes{size}) + ", digests verified");
  }
  return kOk;
}

int ModelMerge(Context& context, const std::string& name, const std::string& directory) {
  Console& console = context.console;
  const fs::path target = TargetOf(directory);
  if (Status free = CheckTarget(target); !free) {
    console.Complain(free.error());
    return kUsage;
  }
  const fs::path merged = TemporaryOf(target, ".tmp-");
  const auto id = LooksLikePath(name) ? MergeLocal(context, name, merged)
                                      : MergeOfCluster(context, name, target, merged);
  Answer<void> done;
  if (id) {
    done = MoveIntoPlace(merged, target);
  } else {
    done = tl::unexpected<client::Errors>(id.error());
  }
  if (const Status removed = RemoveTree(merged); !removed) console.Warn(removed.error().ToString());
  if (!done) return console.Complain(done.error());
  if (console.json()) {
    console.OutJson({{"path", target.string()}, {"model", *id}});
  } else {
    console.Out(target.string());
    console.Note(*id + " merged into its base");
  }
  return kOk;
}

}  // namespace tutti::cli
