// A model's files into a folder of the user's, verified, whole or not at all.
#include <fcntl.h>
#include <unistd.h>

#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
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

constexpr Duration kSilence = std::chrono::seconds(60);

Answer<void> Download(Context& context, const std::string& model, const json& file,
                      const fs::path& folder) {
  const std::string name = TextAt(file, "/path");
  const auto path = JoinBeneath(folder, name);
  if (!path) return Fails(path.error());
  if (Status made = MakeDirectories(path->parent_path()); !made) return Fails(made.error());
  std::string target = client::ModelTarget(model, "/files");
  for (const fs::path& part : fs::path(name)) target += "/" + client::EncodeSegment(part.string());
  auto incoming = context.client.Open({.target = target});
  if (!incoming) return Fails(incoming.error());
  if ((*incoming)->head().status != 200) {
    client::Response response = (*incoming)->head();
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

}  // namespace

int ModelExport(Context& context, const std::string& name, const std::string& directory) {
  Console& console = context.console;
  std::error_code error;
  fs::path target = fs::absolute(directory, error).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  if (Status free = CheckTarget(target); !free) {
    console.Complain(free.error());
    return kUsage;
  }
  const auto model = context.client.Get(client::ModelTarget(name));
  if (!model) {
    return console.Complain(model.error());
  }
  const client::InterruptScope interrupts;
  fs::path temporary = target;
  temporary += ".tmp-" + std::to_string(::getpid());
  Answer<void> done;
  if (Status made = MakeDirectories(temporary); !made) {
    done = Fails(made.error());
  } else {
    done = DownloadAll(context, TextAt(*model, "/id"), *model, temporary);
  }
  if (done) {
    // rename(2) replaces an empty folder, and nothing else.
    if (::rename(temporary.c_str(), target.c_str()) != 0) {
      done = Fails(ErrnoError("cannot rename into place", target.string(), errno));
    } else if (Status synced = SyncDirectory(target.parent_path()); !synced) {
      done = Fails(synced.error());
    }
  }
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

}  // namespace tutti::cli
