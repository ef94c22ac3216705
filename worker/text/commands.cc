#include "worker/text/commands.h"

#include <cstdint>
#include <functional>
#include <istream>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "common/json/limits.h"
#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLineBytesMax = std::size_t{16} << 20;
constexpr JsonLimits kTextLineLimits{.depth_max = 2};

enum class LineEnd { kLine, kEnd, kTooLong };

LineEnd ReadLine(std::istream& in, std::string& line) {
  line.clear();
  std::streambuf& buffer = *in.rdbuf();
  for (int c = buffer.sbumpc(); c != std::char_traits<char>::eof(); c = buffer.sbumpc()) {
    if (c == '\n') return LineEnd::kLine;
    if (line.size() == kLineBytesMax) return LineEnd::kTooLong;
    line.push_back(static_cast<char>(c));
  }
  return line.empty() ? LineEnd::kEnd : LineEnd::kLine;
}

// Calls `answer` for each line's JSON and writes what it returns.
Status ForEachLine(std::istream& in, std::ostream& out,
                   const std::function<Result<Json>(const Json&)>& answer) {
  std::string line;
  for (std::int64_t number = 1;; ++number) {
    const std::string where = "line " + std::to_string(number);
    const LineEnd end = ReadLine(in, line);
    if (end == LineEnd::kEnd) break;
    if (end == LineEnd::kTooLong) return Fail(ErrorCode::kTooLarge, "longer than 16 MiB", where);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    TUTTI_RETURN_IF_ERROR(CheckJsonLimits(line, kTextLineLimits, where));
    const Json input = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (input.is_discarded()) return Fail(ErrorCode::kInvalid, "not JSON", where);
    Result<Json> output = answer(input);
    if (!output.has_value()) {
      Error error = output.error();
      error.where = where;
      return Fail(std::move(error));
    }
    out << output->dump() << '\n';
    // Someone who waits for an answer before the next question gets it.
    if (in.rdbuf()->in_avail() <= 0) out.flush();
    if (!out) return Fail(ErrorCode::kIo, "cannot write the output");
  }
  out.flush();
  if (!out) return Fail(ErrorCode::kIo, "cannot write the output");
  return {};
}

Result<std::vector<std::uint32_t>> IdsOf(const Json& input) {
  if (!input.is_array()) return Fail(ErrorCode::kInvalid, "expected an array of ids");
  std::vector<std::uint32_t> ids;
  ids.reserve(input.size());
  for (const Json& id : input) {
    if (!id.is_number_unsigned() ||
        id.get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
      return Fail(ErrorCode::kInvalid, "an id must be a whole number from 0 to 4294967295");
    }
    ids.push_back(id.get<std::uint32_t>());
  }
  return ids;
}

}  // namespace

Status RunTokenize(const std::filesystem::path& model, std::istream& in, std::ostream& out) {
  TUTTI_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(model));
  return ForEachLine(in, out, [&tokenizer](const Json& input) -> Result<Json> {
    if (!input.is_string()) return Fail(ErrorCode::kInvalid, "expected a JSON string");
    TUTTI_ASSIGN_OR_RETURN(const Encoding encoding,
                           tokenizer.Encode(input.get_ref<const std::string&>()));
    return Json(encoding.ids);
  });
}

Status RunDetokenize(const std::filesystem::path& model, std::istream& in, std::ostream& out) {
  TUTTI_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(model));
  return ForEachLine(in, out, [&tokenizer](const Json& input) -> Result<Json> {
    TUTTI_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> ids, IdsOf(input));
    TUTTI_ASSIGN_OR_RETURN(std::string text, tokenizer.Decode(ids, /*skip_special=*/false));
    return Json(std::move(text));
  });
}

}  // namespace tutti::text
