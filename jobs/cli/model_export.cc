// A model's files into a folder of the user's, verified, whole or not at all.
#include <fcntl.h>
#include <unistd.h>

#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "jobs/cli/child_output.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using client::Answer;
using client::Fails;
using nlohmann::json;

constexpr Duration kMergeDeadline = std::chrono::minutes(10);
constexpr Duration kSilence = std::chrono::seconds(60);

Answer<void> Download(Context& context, const std::string& model, const json& file,
                      const fs::path& folder) {
  const std::string name = TextAt(file, "/path");
  const auto path = JoinBeneath(folder, name);
  if (!path) return Fails(path.error());
  if (Status made = MakeDirectories(path->parent_path()); !made) return Fails(made.error());
  std::string target = client::ModelTarget(model, "/files");
  for (const fs::path& part : fs::path(name))
    target += "/" + httpclient::EncodeSegment(part.string());
  auto incoming = context.client.Open({.target = target});
  if (!incoming) return Fails(incoming.error());
  if ((*incoming)->head().status != 200) {
    httpclient::Response response = (*incoming)->head();
    response.body = (*incoming)->ReadAll(kSilence, Bytes{1 << 20}).value_or("");
    return tl::unexpected<client::Errors>(client::ErrorsOf(response, target));
  }
  const UniqueFd fd(::open(path->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return Fails(ErrnoError("cannot create", path->string(), errno));
  Sha256 sha;
  for (;;) {
    const auto piece = (*incoming)->Read(kSilence);
    if (!piece) return Fails(piece.error());
    if (piece->empty()) break;
    sha.Update(*piece);
    Status written = WriteAll(fd.get(), std::as_bytes(std::span(*piece)), path->string());
    if (!written) return Fails(written.error());
  }
  if (::fdatasync(fd.get()) != 0) return Fails(ErrnoError("cannot sync", path->string(), errno));
  const std::string digest = sha.Finish().ToString();
  if (digest != TextAt(file, "/digest")) {
    return Fails({ErrorCode::kIo, "what arrived is " + digest + ", not " + TextAt(file, "/digest"),
                  name, "try again; if it stays so, look at the coordinator's disk"});
  }
  return {};
}

Answer<void> DownloadAll(Context& context, const std::string& id, const json& model,
                         const fs::path& folder) {
  for (const json& file : ListAt(model, "/files")) {
    if (auto done = Download(context, id, file, folder); !done) return done;
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

// By the engine, which has the arithmetic.
Answer<void> Merge(Context& context, const fs::path& adapter, const fs::path& to) {
  const auto run =
      RunChild(context.bin_dir / "tutti-engine",
               {.arguments = {"merge", "--json", "--model", adapter.string(), "--to", to.string()},
                .deadline = kMergeDeadline});
  if (!run) return Fails(run.error());
  const json answer = json::parse(run->out, nullptr, /*allow_exceptions=*/false);
  if (run->exit_code == 0) return {};
  const std::string message = TextAt(answer, "/error/message");
  return Fails({ErrorCode::kInvalid,
                message.empty() ? "tutti-engine merge ended with " + std::to_string(run->exit_code)
                                : message,
                TextAt(answer, "/error/where"), TextAt(answer, "/error/hint")});
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
  const auto model = context.client.Get(client::ModelTarget(name));
  if (!model) return console.Complain(model.error());
  const client::InterruptScope interrupts;
  const fs::path adapter = TemporaryOf(target, ".adapter-");
  const fs::path merged = TemporaryOf(target, ".tmp-");
  Answer<void> done = Fetch(context, *model, adapter);
  if (done) done = Merge(context, adapter, merged);
  if (done) done = MoveIntoPlace(merged, target);
  for (const fs::path& folder : {adapter, merged}) {
    if (const Status removed = RemoveTree(folder); !removed)
      console.Warn(removed.error().ToString());
  }
  if (!done) return console.Complain(done.error());
  if (console.json()) {
    console.OutJson({{"path", target.string()}, {"model", At(*model, "/id")}});
  } else {
    console.Out(target.string());
    console.Note(TextAt(*model, "/id") + " merged into its base");
  }
  return kOk;
}

}  // namespace tutti::cli
