#include "worker/agent/gang_inputs.h"

#include "common/file/file.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint32_t kCpusMax = 4096;

Unexpected Malformed(const std::string& where) {
  return Fail(ErrorCode::kInvalid, "the resolved spec is not as it should be", where);
}

const json* Find(const json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<WantedFile> ReadFileEntry(const json& entry, const std::string& where) {
  const json* path = Find(entry, "path");
  const json* digest = Find(entry, "digest");
  const json* size = Find(entry, "size_bytes");
  if (path == nullptr || !path->is_string() || digest == nullptr || !digest->is_string() ||
      size == nullptr || !size->is_number_unsigned()) {
    return Malformed(where);
  }
  const auto parsed = Digest::Parse(digest->get<std::string>());
  if (!parsed) return Malformed(where + "/digest");
  return WantedFile{.path = path->get<std::string>(),
                    .digest = *parsed,
                    .size = Bytes{size->get<std::int64_t>()}};
}

// Data by content, or in place when the spec has a file:///… and no content for it.
Result<std::optional<DataSource>> ReadData(const json& spec, const std::string& role) {
  if (const json* inputs = Find(spec, "inputs")) {
    if (const json* entry = Find(*inputs, role)) {
      TUTTI_ASSIGN_OR_RETURN(WantedFile file, ReadFileEntry(*entry, "#/inputs/" + role));
      return DataSource(std::move(file));
    }
  }
  const json* data = Find(spec, "data");
  const json* written = data == nullptr ? nullptr : Find(*data, role);
  if (written != nullptr && written->is_string()) {
    if (auto path = PathOfFileUrl(written->get<std::string>())) {
      return DataSource(InPlace{std::move(*path)});
    }
  }
  return std::nullopt;
}

Status ReadResources(const json& resources, GangInputs& inputs) {
  if (const json* cpus = Find(resources, "cpus_per_rank")) {
    if (!cpus->is_number_unsigned() || cpus->get<std::uint64_t>() == 0 ||
        cpus->get<std::uint64_t>() > kCpusMax) {
      return Malformed("#/resources/cpus_per_rank");
    }
    inputs.cpus_per_rank = cpus->get<std::uint32_t>();
  }
  if (const json* memory = Find(resources, "memory_per_rank")) {
    if (memory->is_number_unsigned()) {
      inputs.memory_limit_bytes = memory->get<std::uint64_t>();
    } else {
      const auto bytes =
          memory->is_string() ? ParseBytes(memory->get<std::string>()) : std::nullopt;
      if (!bytes) return Malformed("#/resources/memory_per_rank");
      inputs.memory_limit_bytes = static_cast<std::uint64_t>(bytes->count);
    }
  }
  return {};
}

Result<fs::path> PlaceData(const DataSource& source, const std::string& role,
                           const PlaceOptions& options, PinnedFiles& pinned, std::stop_token stop) {
  const fs::path folder = options.folder / role;
  if (const auto* in_place = std::get_if<InPlace>(&source)) {
    return PinData(in_place->path,
                   {.data_roots = options.data_roots, .folder = folder, .files = pinned});
  }
  const WantedFile& file = std::get<WantedFile>(source);
  TUTTI_RETURN_IF_ERROR(PlaceFile(file, folder, options, std::move(stop)));
  return JoinBeneath(folder, file.path);
}

}  // namespace

Result<GangInputs> ReadGangInputs(const std::string& spec_json) {
  GangInputs inputs;
  inputs.spec = json::parse(spec_json, nullptr, false);
  if (!inputs.spec.is_object()) return Malformed("#");
  if (const json* resources = Find(inputs.spec, "resources")) {
    TUTTI_RETURN_IF_ERROR(ReadResources(*resources, inputs));
  }
  const json* files = Find(inputs.spec, "inputs");
  const json* model = files == nullptr ? nullptr : Find(*files, "model");
  if (model != nullptr) {
    if (!model->is_array()) return Malformed("#/inputs/model");
    for (const json& entry : *model) {
      TUTTI_ASSIGN_OR_RETURN(WantedFile file, ReadFileEntry(entry, "#/inputs/model"));
      inputs.model.push_back(std::move(file));
    }
  }
  if (const json* written = Find(inputs.spec, "model");
      inputs.model.empty() && written != nullptr && written->is_string()) {
    if (auto path = PathOfFileUrl(written->get<std::string>())) {
      inputs.model_in_place = InPlace{std::move(*path)};
    }
  }
  TUTTI_ASSIGN_OR_RETURN(inputs.train, ReadData(inputs.spec, "train"));
  TUTTI_ASSIGN_OR_RETURN(inputs.eval, ReadData(inputs.spec, "eval"));
  if (!inputs.train) {
    return Fail(ErrorCode::kInvalid, "the job has no training data", "#/inputs/train");
  }
  return inputs;
}

Status PlaceFile(const WantedFile& file, const fs::path& folder, const PlaceOptions& options,
                 std::stop_token stop) {
  TUTTI_ASSIGN_OR_RETURN(const fs::path to, JoinBeneath(folder, file.path));
  TUTTI_RETURN_IF_ERROR(MakeDirectories(to.parent_path()));
  return options.cache.Place(file.digest, file.size, to, options.remote, std::move(stop));
}

Result<LocalInputs> PlaceInputs(const GangInputs& inputs, const PlaceOptions& options,
                                std::stop_token stop) {
  LocalInputs local;
  local.pinned = std::make_shared<PinnedFiles>();
  local.model_dir = options.folder / "model";
  TUTTI_RETURN_IF_ERROR(MakeDirectories(local.model_dir));
  if (inputs.model_in_place) {
    TUTTI_RETURN_IF_ERROR(PinModel(
        inputs.model_in_place->path,
        {.data_roots = options.data_roots, .folder = local.model_dir, .files = *local.pinned}));
  }
  for (const WantedFile& file : inputs.model) {
    if (stop.stop_requested()) return Fail(ErrorCode::kTimeout, "stopped");
    TUTTI_RETURN_IF_ERROR(PlaceFile(file, local.model_dir, options, stop));
  }
  TUTTI_ASSIGN_OR_RETURN(local.train_path,
                         PlaceData(*inputs.train, "train", options, *local.pinned, stop));
  if (inputs.eval) {
    TUTTI_ASSIGN_OR_RETURN(local.eval_path,
                           PlaceData(*inputs.eval, "eval", options, *local.pinned, stop));
  }
  return local;
}

}  // namespace tutti::agent
