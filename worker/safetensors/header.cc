#include "worker/safetensors/header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

namespace tutti::safetensors {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kNameBytesMax = 1'024;
constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
constexpr std::size_t kDigitsMax = 20;
constexpr std::size_t kBytesMax = std::size_t{1} << 62;

// Reads the header as a stream of events, so that a hostile one is refused where it turns hostile.
// Levels: 1 = the header, 2 = a tensor or __metadata__, 3 = an array of numbers.
class HeaderReader : public Json::json_sax_t {
 public:
  Header header;
  std::string problem;  // why a callback returned false

  bool start_object(std::size_t) override {
    if (++level_ == 1) return true;
    return level_ == 2 || Refuse("an object where none belongs");
  }
  bool end_object() override { return --level_ == 0 || in_metadata_ || FinishTensor(); }

  bool key(string_t& name) override {
    if (name.size() > kNameBytesMax) return Refuse("a name above 1,024 bytes");
    if (level_ == 1) return StartEntry(name);
    field_ = name;
    if (!in_metadata_) {
      return (fields_seen_.insert(name).second) ||
             Refuse("'" + name + "' twice in " + tensor_.name);
    }
    if (header.metadata.size() >= kMetadataEntriesMax) return Refuse("too many metadata entries");
    return !header.metadata.contains(name) || Refuse("metadata '" + name + "' twice");
  }

  bool string(string_t& value) override {
    if (level_ == 2 && in_metadata_) {
      header.metadata.emplace(field_, std::move(value));
      return true;
    }
    if (level_ != 2 || field_ != "dtype") return Refuse("text where none belongs");
    const std::optional<DType> dtype = ParseDType(value);
    if (!dtype) return Refuse("tensor " + tensor_.name + " has unknown type '" + value + "'");
    tensor_.dtype = *dtype;
    return true;
  }

  bool start_array(std::size_t) override {
    if (level_ != 2 || in_metadata_) return Refuse("an array where none belongs");
    ++level_;
    numbers_.clear();
    return field_ == "shape" || field_ == "data_offsets" ||
           Refuse("unknown field '" + field_ + "'");
  }
  bool end_array() override {
    --level_;
    if (field_ == "shape") {
      tensor_.shape.assign(numbers_.begin(), numbers_.end());
      return true;
    }
    if (numbers_.size() != 2) return Refuse("data_offsets of " + tensor_.name + " are not two");
    tensor_.from = static_cast<std::size_t>(numbers_[0]);
    tensor_.to = static_cast<std::size_t>(numbers_[1]);
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (level_ != 3) return Refuse("a number where none belongs");
    if (numbers_.size() == kDimensionsMax) return Refuse("more than 8 dimensions");
    if (value > kBytesMax) return Refuse("a size above 2^62");
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool null() override { return Refuse("null where none belongs"); }
  bool boolean(bool) override { return Refuse("a boolean where none belongs"); }
  bool number_integer(number_integer_t) override { return Refuse("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return Refuse("not a whole number");
  }
  bool binary(binary_t&) override { return Refuse("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return Refuse("not JSON at byte " + std::to_string(position));
  }

 private:
  bool Refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }

  bool StartEntry(const std::string& name) {
    if (!names_.insert(name).second) return Refuse("tensor '" + name + "' twice");
    in_metadata_ = name == "__metadata__";
    if (in_metadata_) return true;
    if (header.tensors.size() == kTensorsMax) return Refuse("more than 32,768 tensors");
    tensor_ = TensorEntry{.name = name, .shape = {}};
    fields_seen_.clear();
    return true;
  }

  bool FinishTensor() {
    if (fields_seen_ != std::set<std::string>{"data_offsets", "dtype", "shape"}) {
      return Refuse("tensor " + tensor_.name + " needs dtype, shape and data_offsets");
    }
    header.tensors.push_back(std::move(tensor_));
    return true;
  }

  int level_ = 0;
  bool in_metadata_ = false;
  std::set<std::string> names_;
  std::set<std::string> fields_seen_;
  std::string field_;
  std::vector<std::int64_t> numbers_;
  TensorEntry tensor_;
};

// A look at the tokens before the parser copies them: no text above kTextBytesMax, no number longer
// than any that fits. Not a parser: everything else is its business.
std::string TokenProblem(std::string_view json) {
  std::size_t number = 0;  // characters of the one under way
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    number = c >= '0' && c <= '9' ? number + 1 : 0;
    if (number > kDigitsMax) return "a number of more than 20 digits";
    if (c != '"') continue;
    const std::size_t from = ++i;
    while (i < json.size() && json[i] != '"') i += json[i] == '\\' ? 2 : 1;
    if (i - from > kTextBytesMax) return "a text above 1 MiB";
  }
  return "";
}

// Every tensor has the size its shape says, and together they are the data.
Status CheckLayout(const std::vector<TensorEntry>& tensors, std::size_t data_size,
                   const std::string& where) {
  std::vector<const TensorEntry*> by_place;
  by_place.reserve(tensors.size());
  for (const TensorEntry& t : tensors) {
    const Result<std::size_t> size = TensorBytes(t.dtype, t.shape);
    if (!size.has_value())
      return Fail(ErrorCode::kInvalid, t.name + ": " + size.error().message, where);
    if (t.from > t.to || t.to > data_size || t.to - t.from != *size) {
      return Fail(ErrorCode::kInvalid,
                  "tensor " + t.name + " lies at bytes " + std::to_string(t.from) + " to " +
                      std::to_string(t.to) + " of " + std::to_string(data_size) +
                      ", its shape takes " + std::to_string(*size),
                  where);
    }
    by_place.push_back(&t);
  }
  std::sort(by_place.begin(), by_place.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return std::pair(a->from, a->to) < std::pair(b->from, b->to);
  });
  std::size_t at = 0;
  for (const TensorEntry* t : by_place) {
    if (t->from != at) {
      return Fail(ErrorCode::kInvalid,
                  "tensor " + t->name + (t->from < at ? " overlaps another" : " follows a hole"),
                  where);
    }
    at = t->to;
  }
  if (at != data_size) return Fail(ErrorCode::kInvalid, "bytes after the last tensor", where);
  return {};
}

}  // namespace

Result<std::size_t> TensorBytes(DType dtype, const std::vector<std::int64_t>& shape) {
  std::size_t bytes = SizeOf(dtype);
  for (const std::int64_t dimension : shape) {
    std::size_t product = 0;
    if (dimension < 0 ||
        __builtin_mul_overflow(bytes, static_cast<std::size_t>(dimension), &product) ||
        product > kBytesMax) {
      return Fail(ErrorCode::kInvalid, "a shape that cannot be");
    }
    bytes = product;
  }
  return bytes;
}

Result<Header> ParseHeader(std::string_view json, std::size_t data_size, const std::string& where) {
  if (json.size() > kHeaderBytesMax) {
    return Fail(ErrorCode::kTooLarge, "a header of " + std::to_string(json.size()) + " bytes",
                where);
  }
  if (!json.starts_with('{'))
    return Fail(ErrorCode::kInvalid, "the header is no JSON object", where);
  if (const std::string problem = TokenProblem(json); !problem.empty()) {
    return Fail(ErrorCode::kInvalid, "header: " + problem, where);
  }
  HeaderReader reader;
  if (!Json::sax_parse(json.begin(), json.end(), &reader)) {
    return Fail(ErrorCode::kInvalid, "header: " + reader.problem, where);
  }
  TUTTI_RETURN_IF_ERROR(CheckLayout(reader.header.tensors, data_size, where));
  std::sort(reader.header.tensors.begin(), reader.header.tensors.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.name < b.name; });
  return std::move(reader.header);
}

std::string FormatHeader(const Header& header) {
  OrderedJson json = OrderedJson::object();
  if (!header.metadata.empty()) {
    OrderedJson& metadata = json["__metadata__"];
    for (const auto& [key, value] : header.metadata) metadata[key] = value;
  }
  std::string text = json.dump();
  text.pop_back();  // each tensor is appended: inserting 32,768 into an ordered object is quadratic
  for (const TensorEntry& t : header.tensors) {
    OrderedJson entry;
    entry["dtype"] = ToString(t.dtype);
    entry["shape"] = t.shape;
    entry["data_offsets"] = {t.from, t.to};
    if (text.size() > 1) text += ',';
    text += OrderedJson(t.name).dump() + ":" + entry.dump();
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace tutti::safetensors
