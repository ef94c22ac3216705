#include "jobs/cli/local_model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <utility>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "jobs/cli/child_output.h"
#include "jobs/cli/inputs.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/model_folder.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using client::Answer;
using client::Errors;
using client::Fails;
using nlohmann::json;

constexpr Duration kToolDeadline = std::chrono::minutes(30);
constexpr Duration kSilence = std::chrono::seconds(60);

Answer<json> AnswerOf(const Result<ChildOutput>& run, const std::string& tool) {
  if (!run) return Fails(run.error());
  json answer = json::parse(run->out, nullptr, /*allow_exceptions=*/false);
  if (run->exit_code == 0 && answer.is_object()) return answer;
  if (const json& error = At(answer, "/error"); error.is_object()) {
    Error said = client::ErrorOf(answer);
    // A file that is not found is the input's fault, as for the cluster's models.
    if (said.code == ErrorCode::kNotFound) said.code = ErrorCode::kInvalid;
    return Fails(std::move(said));
  }
  return Fails({ErrorCode::kInternal,
                "tutti-engine " + tool + " ended with " + std::to_string(run->exit_code) +
                    " and did not say why",
                {},
                "run it by hand to see what it says: tutti-engine " + tool + " --help"});
}

Result<fs::path> MakeTemporary() {
  std::error_code error;
  std::string pattern = (fs::temp_directory_path(error) / "tutti-model-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    return Fail(ErrnoError("cannot make a folder", pattern, errno));
  }
  return fs::path(pattern);
}

// Links to what is here, copies of what the cluster has.
Answer<void> LayOut(Context& context, const ModelFolder& model, const fs::path& to) {
  if (Status made = MakeDirectories(to / "base"); !made) return Fails(made.error());
  for (const FolderFile& file : model.files) {
    std::error_code error;
    const fs::path from = fs::absolute(file.path, error);
    fs::create_symlink(from, to / file.place, error);
    if (error) return Fails(ErrnoError("cannot link", (to / file.place).string(), error.value()));
  }
  for (const ModelFolder::OfCluster& one : model.of_cluster) {
    const ModelFileWanted wanted{
        .model = model.base, .path = one.file.path, .digest = one.file.digest};
    if (auto done = DownloadModelFile(context, wanted, to / one.place); !done) return done;
  }
  return {};
}

}  // namespace

Answer<void> DownloadModelFile(Context& context, const ModelFileWanted& file, const fs::path& to) {
  if (Status made = MakeDirectories(to.parent_path()); !made) return Fails(made.error());
  std::string target = client::ModelTarget(file.model, "/files");
  for (const fs::path& part : fs::path(file.path)) {
    target += "/" + httpclient::EncodeSegment(part.string());
  }
  auto incoming = context.client.Open({.target = target});
  if (!incoming) return Fails(incoming.error());
  if ((*incoming)->head().status != 200) {
    httpclient::Response response = (*incoming)->head();
    response.body = (*incoming)->ReadAll(kSilence, Bytes{1 << 20}).value_or("");
    return tl::unexpected<Errors>(client::ErrorsOf(response, target));
  }
  const UniqueFd fd(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return Fails(ErrnoError("cannot create", to.string(), errno));
  Sha256 sha;
  for (;;) {
    const auto piece = (*incoming)->Read(kSilence);
    if (!piece) return Fails(piece.error());
    if (piece->empty()) break;
    sha.Update(*piece);
    Status written = WriteAll(fd.get(), std::as_bytes(std::span(*piece)), to.string());
    if (!written) return Fails(written.error());
  }
  if (::fdatasync(fd.get()) != 0) return Fails(ErrnoError("cannot sync", to.string(), errno));
  const std::string digest = sha.Finish().ToString();
  if (digest == file.digest) return {};
  return Fails({ErrorCode::kIo, "what arrived is " + digest + ", not " + file.digest, file.path,
                "try again; if it stays so, look at the coordinator's disk"});
}

LocalModel::LocalModel(LocalModel&& other) noexcept
    : temporary_(std::exchange(other.temporary_, {})), directory_(std::move(other.directory_)) {}

LocalModel::~LocalModel() {
  if (temporary_.empty()) return;
  [[maybe_unused]] const Status removed = RemoveTree(temporary_);
}

Answer<LocalModel> LocalModel::Find(Context& context, const std::string& directory) {
  const auto of_cluster = [&context](const std::string& model) {
    return ModelOfCluster(model, "base_model_name_or_path", context.client);
  };
  const auto model = ReadModelFolder(fs::path(directory).lexically_normal(), ".", of_cluster);
  if (!model) return tl::unexpected<Errors>(model.error());
  LocalModel found;
  const auto temporary = MakeTemporary();
  if (!temporary) return Fails(temporary.error());
  found.temporary_ = *temporary;
  found.directory_ = directory;
  if (!model->is_adapter) return found;
  found.directory_ = found.temporary_ / "model";
  const client::InterruptScope interrupts;
  if (auto done = LayOut(context, *model, found.directory_); !done) {
    return tl::unexpected<Errors>(done.error());
  }
  return found;
}

Answer<json> LocalModel::Ask(const Context& context, const std::string& tool, json request) const {
  const client::InterruptScope interrupts;
  request["model_dir"] = directory_.string();
  const fs::path file = temporary_ / "request.json";
  const Status written = WriteFileAtomically(
      file, request.dump(-1, ' ', false, json::error_handler_t::replace), {.durable = false});
  if (!written) return Fails(written.error());
  return AnswerOf(
      RunChild(context.bin_dir / "tutti-engine",
               {.arguments = {tool, "--request", file.string()}, .deadline = kToolDeadline}),
      tool);
}

Answer<void> MergeFolder(const Context& context, const fs::path& adapter, const fs::path& to) {
  const auto answer = AnswerOf(
      RunChild(context.bin_dir / "tutti-engine",
               {.arguments = {"merge", "--json", "--model", adapter.string(), "--to", to.string()},
                .deadline = kToolDeadline}),
      "merge");
  if (!answer) return tl::unexpected<Errors>(answer.error());
  return {};
}

}  // namespace tutti::cli
