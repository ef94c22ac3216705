#include "jobs/cli/inputs.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>

#include "common/digest/sha256.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/model_folder.h"
#include "jobs/spec/json_text.h"
#include "jobs/spec/model_files.h"
#include "jobs/spec/suggest.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using client::Answer;
using client::Errors;
using client::Fails;
using nlohmann::json;

constexpr std::string_view kFileUrl = "file:///";
// Bytes a second that the slowest disk still hashes: what an upload's deadline is counted with.
constexpr std::int64_t kSlowest = 20 << 20;
constexpr Duration kUploadLeast = std::chrono::seconds(60);

// "org/name" or "org/name@revision".
bool LooksLikeHubId(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == text.size()) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) {
                       return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ||
                              c == '_' || c == '.' || c == '/' || c == '@';
                     }) &&
         text.find('/', slash + 1) == std::string_view::npos;
}

spec::InputFile Input(const std::string& path, const LocalFile& file) {
  return {.path = path, .digest = file.digest, .size_bytes = file.size_bytes};
}

// One of the data fields: nothing to hash for file:///…, which workers read in place.
void ResolveData(const std::string& written, const fs::path& base, const std::string& where,
                 std::optional<spec::InputFile>& into, ResolvedInputs& out, Errors& errors) {
  if (written.starts_with(kFileUrl)) return;
  const fs::path path = base / written;
  Result<LocalFile> file = HashFile(path);
  if (!file) {
    errors.push_back({ErrorCode::kInvalid, file.error().message + ": " + path.string(), where,
                      "relative paths are below the spec's folder, " + base.string()});
    return;
  }
  into = Input(path.filename().string(), *file);
  out.files.push_back(*std::move(file));
}

void ResolveModel(const spec::JobSpec& job, const fs::path& base, const std::string& where,
                  client::Client& client, ResolvedInputs& out, Errors& errors) {
  const fs::path directory = base / job.model;
  std::error_code ignored;
  if (!LooksLikePath(job.model) && !fs::is_directory(directory, ignored)) {
    auto files = ModelOfCluster(job.model, where, client);
    if (files) {
      out.inputs.model = *std::move(files);
    } else {
      errors.insert(errors.end(), files.error().begin(), files.error().end());
    }
    return;
  }
  const auto refuse = [&](Error error) {
    if (!error.where.empty() && error.where != where) error.message += ": " + error.where;
    error.where = where;
    if (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kIo) {
      error.code = ErrorCode::kInvalid;
    }
    errors.push_back(std::move(error));
  };
  const auto model =
      ReadModelFolder(directory.lexically_normal(), base,
                      [&](const std::string& name) { return ModelOfCluster(name, where, client); });
  if (!model) {
    for (const Error& error : model.error()) refuse(error);
    return;
  }
  for (const FolderFile& found : model->files) {
    auto file = HashFile(found.path);
    if (!file) return refuse(file.error());
    out.inputs.model.push_back(Input(found.place, *file));
    out.files.push_back(*std::move(file));
  }
  for (const ModelFolder::OfCluster& one : model->of_cluster) {
    out.inputs.model.push_back({one.place, one.file.digest, one.file.size_bytes});
  }
}

// What resume_from names lies beside the model's files, below "resume".
void ResolveResume(const std::string& model, const std::string& where, client::Client& client,
                   ResolvedInputs& out, Errors& errors) {
  if (LooksLikePath(model)) {
    errors.push_back({ErrorCode::kInvalid,
                      "resume_from names a model of this cluster, not a folder: " + model, where,
                      "write ft:… or a job's name; see: tutti model list"});
    return;
  }
  auto files = ModelOfCluster(model, where, client);
  if (!files) {
    errors.insert(errors.end(), files.error().begin(), files.error().end());
    return;
  }
  for (spec::InputFile& file : *files) {
    file.path = "resume/" + file.path;
    out.inputs.model.push_back(std::move(file));
  }
}

Duration UploadDeadline(std::int64_t size) {
  return kUploadLeast + std::chrono::seconds(size / kSlowest);
}

bool IsSuccess(const httpclient::Response& response) {
  return response.status >= 200 && response.status < 300;
}

}  // namespace

PlaceOf PlacesIn(std::string text, std::string file_name, std::vector<std::string> sets) {
  return [text = std::move(text), file_name = std::move(file_name),
          sets = std::move(sets)](const std::vector<std::string>& path) -> std::string {
    std::string dotted;
    for (const std::string& key : path) dotted += (dotted.empty() ? "" : ".") + key;
    for (const std::string& set : sets) {
      if (set.substr(0, set.find('=')) == dotted) return "--set " + dotted;
    }
    std::vector<spec::LocatedError> ignored;
    const spec::TextOptions options{.file_name = file_name};
    const auto root = spec::ReadText(text, options, ignored);
    const spec::Node* node = root ? &*root : nullptr;
    for (const std::string& key : path) {
      const spec::Map* map = node == nullptr ? nullptr : node->AsMap();
      const spec::Entry* entry = map == nullptr ? nullptr : spec::Find(*map, key);
      node = entry == nullptr ? nullptr : &entry->value;
    }
    return node == nullptr ? file_name + ": " + dotted : node->place.where;
  };
}

Result<LocalFile> HashFile(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return Fail(ErrorCode::kInvalid, "this is a folder, not a file", path.string());
  }
  const fs::path absolute = fs::canonical(path, error);
  if (error) return Fail(ErrnoError("cannot open", path.string(), error.value()));
  LocalFile file{.path = absolute, .digest = {}, .size_bytes = 0};
  TUTTI_ASSIGN_OR_RETURN(const Digest digest, Sha256OfFile(absolute));
  file.digest = digest.ToString();
  file.size_bytes = static_cast<std::int64_t>(fs::file_size(absolute, error));
  if (error) return Fail(ErrnoError("cannot stat", path.string(), error.value()));
  return file;
}

Answer<std::vector<spec::InputFile>> ModelOfCluster(const std::string& model,
                                                    const std::string& where,
                                                    client::Client& client) {
  const auto found = client.Get(client::ModelTarget(model));
  if (!found && found.error().front().code == ErrorCode::kNotFound) {
    if (LooksLikeHubId(model)) {
      const std::string name = model.substr(model.find('/') + 1);
      return Fails({ErrorCode::kUnsupported,
                    "'" + model + "' is a hub id; downloading from a hub is not supported yet",
                    where,
                    "download it (hf download " + model + " --local-dir " + name +
                        ") and write `model: ./" + name + "`"});
    }
    return Fails({ErrorCode::kInvalid,
                  "no directory and no model of this cluster is called '" + model + "'", where,
                  "a directory is written ./NAME or /NAME; models here: tutti model list"});
  }
  if (!found) return tl::unexpected<Errors>(found.error());
  std::vector<spec::InputFile> files;
  for (const json& file : ListAt(*found, "/files")) {
    const std::string path = TextAt(file, "/path");
    if (!spec::IsModelFile(path)) continue;
    files.push_back({path, TextAt(file, "/digest"), IntAt(file, "/size_bytes").value_or(0)});
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

Answer<ResolvedInputs> ResolveInputs(const spec::JobSpec& job, const fs::path& base,
                                     const PlaceOf& place, client::Client& client) {
  ResolvedInputs out;
  Errors errors;
  ResolveModel(job, base, place({"model"}), client, out, errors);
  if (job.resume_from) {
    ResolveResume(*job.resume_from, place({"resume_from"}), client, out, errors);
  }
  ResolveData(job.data.train, base, place({"data", "train"}), out.inputs.train, out, errors);
  if (job.data.eval) {
    ResolveData(*job.data.eval, base, place({"data", "eval"}), out.inputs.eval, out, errors);
  }
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  std::ranges::sort(out.inputs.model, {}, &spec::InputFile::path);
  return out;
}

Answer<void> Upload(client::Client& client, const std::vector<LocalFile>& files) {
  const auto at = client.endpoint();
  if (!at) return Fails(at.error());
  std::set<std::string> done;
  for (const LocalFile& file : files) {
    if (!done.insert(file.digest).second) continue;
    const std::string target = "/api/v1/blobs/" + file.digest;
    const auto there = client.Send({.method = "HEAD", .target = target});
    if (!there) return Fails(there.error());
    if (there->status == 200) continue;
    if (there->status != 404) {
      return tl::unexpected<Errors>(client::ErrorsOf(*there, target));
    }
    const Duration deadline = UploadDeadline(file.size_bytes);
    if (httpclient::IsLoopback(at->url)) {
      const auto linked = client.Send({.method = "PUT",
                                       .target = target,
                                       .headers = {{"X-Tutti-Link", file.path.string()}},
                                       .timeout = deadline});
      if (!linked) return Fails(linked.error());
      // It may be unable to read the file (another user's); then the bytes go over.
      if (IsSuccess(*linked)) continue;
    }
    const auto put = client.Send({.method = "PUT",
                                  .target = target,
                                  .headers = {{"Content-Type", "application/octet-stream"}},
                                  .body_file = file.path,
                                  .timeout = deadline});
    if (!put) return Fails(put.error());
    if (!IsSuccess(*put)) return tl::unexpected<Errors>(client::ErrorsOf(*put, file.path.string()));
  }
  return {};
}

}  // namespace tutti::cli
