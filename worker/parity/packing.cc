#include <algorithm>
#include <cmath>
#include <string>

#include "worker/model/language_model.h"
#include "worker/parity/checkpoint.h"
#include "worker/parity/folders.h"

namespace tutti::parity {
namespace {

constexpr Tolerance kPackedLogits{.absolute = 1e-4};
constexpr Tolerance kPackedNorms{.absolute = 1e-5, .relative = 1e-4};

model::Batch ReadRow(const Json& row) {
  model::Batch batch{.rows = 1};
  batch.input_ids = row.at("input_ids").get<std::vector<std::int64_t>>();
  batch.documents = row.at("document_of").get<std::vector<std::int64_t>>();
  batch.labels = row.at("packed_labels").get<std::vector<std::int64_t>>();
  batch.columns = static_cast<std::int64_t>(batch.input_ids.size());
  return batch;
}

// The same documents a row each.
model::Batch ReadApart(const Json& row) {
  const auto documents = row.at("documents").get<std::vector<std::vector<std::int64_t>>>();
  const auto labels = row.at("labels").get<std::vector<std::vector<std::int64_t>>>();
  std::size_t longest = 0;
  for (const auto& document : documents) longest = std::max(longest, document.size());
  model::Batch batch{.rows = static_cast<std::int64_t>(documents.size()),
                     .columns = static_cast<std::int64_t>(longest)};
  for (std::size_t i = 0; i < documents.size(); ++i) {
    for (std::size_t at = 0; at < longest; ++at) {
      const bool real = at < documents[i].size();
      batch.input_ids.push_back(real ? documents[i][at] : 0);
      batch.attention_mask.push_back(real ? 1 : 0);
      batch.labels.push_back(real ? labels[i][at] : model::kIgnoreLabel);
    }
  }
  return batch;
}

Status CheckLoss(Checkpoint& checkpoint, const model::Batch& batch, const Json& row,
                 const std::string& name, Report& report) {
  model::LanguageModel& language = *checkpoint.model().language();
  const auto items = row.at("items").get<double>();
  checkpoint.ZeroGradients();
  TUTTI_RETURN_IF_ERROR(language.ForwardTokens(batch, {.training = true}));
  const model::TokenScores scores = language.Score({.scale = 1 / items});
  language.BackwardTokens({});
  const auto loss = row.at("loss").get<double>();
  report.Case(static_cast<double>(scores.items) == items, name + "/items",
              std::to_string(scores.items));
  report.Compare(name + "/loss", std::vector<double>{scores.loss / items},
                 std::vector<double>{loss}, {.absolute = 1e-5 * std::max(1.0, loss)});
  report.Compare(name + "/grad_norm", std::vector<double>{checkpoint.GradNorm()},
                 std::vector<double>{row.at("grad_norm").get<double>()}, kPackedNorms);
  return {};
}

}  // namespace

Status RunPacking(const std::filesystem::path& folder, const Json& cases, Report& report) {
  const auto name = cases.at("name").get<std::string>();
  TUTTI_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Load(folder));
  if (checkpoint.model().language() == nullptr) {
    return Fail(ErrorCode::kInvalid, "packs rows of a model that is no language model", folder);
  }
  TUTTI_ASSIGN_OR_RETURN(const auto expected,
                         safetensors::File::Open(folder / "expected.safetensors"));
  for (std::size_t i = 0; i < cases.at("rows").size(); ++i) {
    const Json& row = cases["rows"][i];
    const std::string at = name + "/" + std::to_string(i);
    const model::Batch batch = ReadRow(row);
    TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, checkpoint.model().Forward(batch, {}));
    TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want,
                           Floats(expected, "logits." + std::to_string(i)));
    report.Compare(at + "/logits",
                   {logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())}, want,
                   kPackedLogits);
    TUTTI_RETURN_IF_ERROR(CheckLoss(checkpoint, batch, row, at, report));
    TUTTI_RETURN_IF_ERROR(CheckLoss(checkpoint, ReadApart(row), row, at + "/apart", report));
  }
  return {};
}

}  // namespace tutti::parity
