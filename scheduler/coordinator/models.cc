#include "scheduler/coordinator/models.h"

#include <utility>

#include "common/base/log.h"
#include "common/file/file.h"

namespace tutti::coordinator {
namespace {

constexpr std::size_t kModelsPage = 500;
constexpr Duration kRetryEvery = std::chrono::seconds(5);

Result<registry::ModelRecord> RecordOf(const core::Job& job) {
  const auto& succeeded = std::get<core::Succeeded>(job.phase);
  const auto digest = Digest::Parse(succeeded.model_digest);
  if (!digest) return Fail(ErrorCode::kInvalid, "not a digest", succeeded.model_digest);
  registry::ModelRecord record;
  record.id = registry::ModelId(job.request.model_base, job.request.name, job.id);
  record.job = job.id;
  record.job_name = job.request.name;
  record.task = job.request.task;
  record.base = job.request.model_base;
  record.digest = *digest;
  record.created_at = job.finished_at.value_or(job.since);
  TUTTI_ASSIGN_OR_RETURN(record.files, ModelFilesOf(succeeded.files));
  if (!succeeded.metrics_json.empty()) record.metrics_json = succeeded.metrics_json;
  return record;
}

}  // namespace

Result<std::vector<registry::ModelFile>> ModelFilesOf(const std::vector<core::ModelFile>& files) {
  std::vector<registry::ModelFile> out;
  for (const core::ModelFile& file : files) {
    const auto digest = Digest::Parse(file.digest);
    if (!digest) return Fail(ErrorCode::kInvalid, "not a digest", file.digest);
    TUTTI_RETURN_IF_ERROR(CheckPlainRelative(file.path));
    out.push_back({file.path, *digest, Bytes{static_cast<std::int64_t>(file.size_bytes)}});
  }
  return out;
}

Status Models::Load(const View& view) {
  std::vector<registry::ModelRecord> records;
  const auto take = [&](const core::Job& job) {
    if (!std::holds_alternative<core::Succeeded>(job.phase)) return;
    if (auto record = RecordOf(job)) records.push_back(std::move(*record));
  };
  std::uint64_t before = 0;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const auto page, view.store->ListArchived(before, kModelsPage));
    for (const core::Job& job : page) take(job);
    if (page.size() < kModelsPage) break;
    before = page.back().sequence;
  }
  for (const auto& [order, id] : view.state->ledger.finished) take(view.state->ledger.jobs.at(id));
  for (const registry::ModelRecord& record : records) Assemble(record);
  Publish(std::move(records));
  return {};
}

void Models::Add(const core::Job& job) {
  auto record = RecordOf(job);
  if (!record) {
    Log(kError, "model_not_registered",
        {{"job", job.id.ToString()}, {"error", record.error().ToString()}});
    return;
  }
  std::vector<registry::ModelRecord> records = *Records();
  std::erase_if(records, [&](const auto& known) { return known.job == job.id; });
  Assemble(*record);
  records.push_back(std::move(*record));
  Publish(std::move(records));
}

void Models::Assemble(const registry::ModelRecord& record) {
  const auto made = store_.Assemble(record);
  if (made) {
    unmade_.erase(record.job);
    return;
  }
  Log(kError, "model_folder_not_made",
      {{"job", record.job.ToString()}, {"error", made.error().ToString()}});
  unmade_.insert(record.job);
}

void Models::Retry(Instant now) {
  if (unmade_.empty() || now < next_retry_) return;
  next_retry_ = now + kRetryEvery;
  const auto records = Records();
  for (const registry::ModelRecord& record : *records) {
    if (unmade_.contains(record.job)) Assemble(record);
  }
}

void Models::Publish(std::vector<registry::ModelRecord> records) {
  auto fresh = std::make_shared<const std::vector<registry::ModelRecord>>(std::move(records));
  const std::lock_guard lock(mutex_);
  records_ = std::move(fresh);
}

std::shared_ptr<const std::vector<registry::ModelRecord>> Models::Records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

}  // namespace tutti::coordinator
