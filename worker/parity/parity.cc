#include "worker/parity/parity.h"

#include <string>

#include "common/file/file.h"
#include "worker/parity/folders.h"
#include "worker/parity/report.h"
#include "worker/safetensors/convert.h"
#include "worker/text/parity.h"

namespace tutti::parity {
namespace {

namespace fs = std::filesystem;

constexpr Bytes kCasesMax{64 << 20};

text::ParitySink Into(Report& report) {
  return [&report](const text::ParityCase& c) {
    switch (c.outcome) {
      case text::ParityCase::Outcome::kOk:
        return report.Case(true, c.name, "");
      case text::ParityCase::Outcome::kFail:
        return report.Case(false, c.name, c.detail);
      case text::ParityCase::Outcome::kSkip:
        return report.Skip(c.name, c.detail);
    }
  };
}

Status RunCases(const fs::path& folder, Report& report) {
  TUTTI_ASSIGN_OR_RETURN(const Json cases, ReadJson(folder / "cases.json"));
  if (!cases.is_object()) return Fail(ErrorCode::kInvalid, "is no object", folder / "cases.json");
  if (cases.contains("schedules")) return RunSchedules(cases, report);
  if (cases.contains("lora")) return RunPeft(folder, cases, report);
  if (cases.contains("rows")) return RunPacking(folder, cases, report);
  if (cases.contains("model_type")) return RunFamily(folder, cases, report);
  if (cases.contains("cases")) return RunLosses(folder, cases, report);
  return Fail(ErrorCode::kInvalid, "describes no known kind of case", folder / "cases.json");
}

Status RunFolder(const fs::path& folder, Report& report) {
  switch (text::TextParityKindOf(folder)) {
    case text::TextParityKind::kTokenizers:
      return text::RunTokenizerParity(folder, Into(report));
    case text::TextParityKind::kChat:
      return text::RunChatParity(folder, Into(report));
    case text::TextParityKind::kNone:
      break;
  }
  if (fs::exists(folder / "cases.json")) return RunCases(folder, report);
  if (fs::exists(folder / "expected.json")) {
    TUTTI_ASSIGN_OR_RETURN(const Json expected, ReadJson(folder / "expected.json"));
    return RunMetrics(expected, report);
  }
  return Fail(ErrorCode::kNotFound, "is no folder of reference cases", folder,
              "it holds cases.json, expected.json or *.jsonl");
}

}  // namespace

Result<Json> ReadJson(const fs::path& file) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kCasesMax));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Fail(ErrorCode::kInvalid, "is not valid JSON", file);
  return json;
}

Result<std::vector<float>> Floats(const safetensors::File& file, std::string_view name) {
  TUTTI_ASSIGN_OR_RETURN(const safetensors::Tensor tensor, file.Find(name));
  std::vector<float> values(tensor.elements());
  TUTTI_RETURN_IF_ERROR(safetensors::ToFloat32(tensor, values));
  return values;
}

Result<std::vector<std::int64_t>> Integers(const safetensors::File& file, std::string_view name) {
  TUTTI_ASSIGN_OR_RETURN(const safetensors::Tensor tensor, file.Find(name));
  std::vector<std::int64_t> values(tensor.elements());
  TUTTI_RETURN_IF_ERROR(safetensors::ToInt64(tensor, values));
  return values;
}

int RunParity(const fs::path& folder, std::ostream& out) {
  Report report(out);
  const std::string name = folder.filename().empty() ? folder.string() : folder.filename().string();
  try {
    if (const Status status = RunFolder(folder, report); !status.has_value()) {
      report.Refused(name, status.error());
    }
  } catch (const Json::exception& e) {
    report.Case(false, name, std::string("the reference is not as expected: ") + e.what());
  }
  report.Finish();
  return report.failed() == 0 && report.passed() > 0 ? 0 : 1;
}

}  // namespace tutti::parity
