#include "jobs/spec/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "jobs/spec/suggest.h"
#include "jobs/spec/utf8.h"

namespace tutti::spec {
namespace {

std::string PointerStep(std::string_view key) {  // RFC 6901: ~ is ~0, / is ~1
  std::string step = "/";
  for (const char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

// nlohmann's message without its own "[json.exception…] parse error at line …: " head.
std::string Reason(const std::string& what) {
  constexpr std::string_view kHead = "syntax error while parsing ";
  if (const std::size_t at = what.find(kHead); at != std::string::npos) {
    return what.substr(at + kHead.size());
  }
  if (const std::size_t at = what.find("] "); at != std::string::npos) return what.substr(at + 2);
  return what;
}

// nlohmann's SAX interface; its parser keeps its own stack, so hostile depth costs nothing here.
class Builder {
 public:
  Builder(std::string_view text, std::string_view file_name, std::vector<LocatedError>& errors)
      : text_(text), file_name_(file_name), errors_(errors) {}

  std::optional<Node> Take() {
    if (fatal_ || !root_) return std::nullopt;
    return std::move(root_);
  }

  // NOLINTBEGIN(readability-identifier-naming): nlohmann's names.
  bool null() { return Add(Null{}, "null"); }
  bool boolean(bool value) { return Add(value, value ? "true" : "false"); }
  bool number_integer(std::int64_t value) { return Add(value, std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) {
    if (std::in_range<std::int64_t>(value)) {
      return Add(static_cast<std::int64_t>(value), std::to_string(value));
    }
    return Add(static_cast<double>(value), std::to_string(value));
  }
  bool number_float(double value, const std::string& written) { return Add(value, written); }
  bool string(std::string& value) { return Add(value, value); }
  bool binary(nlohmann::json::binary_t& /*value*/) {
    return Refuse("binary values are not accepted");
  }
  bool start_object(std::size_t /*size*/) { return Open(Map{}); }
  bool start_array(std::size_t /*size*/) { return Open(List{}); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }
  bool key(std::string& name) {
    Frame& top = stack_.back();
    top.key = name;
    top.skip = !top.keys.insert(name).second;
    if (top.skip && errors_.size() < kErrorsKept) {
      errors_.push_back({{ErrorCode::kInvalid, fmt::format("duplicate key {}", Quoted(name)),
                          Where(Pointer()), "keep one of them"},
                         order_});
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& error) {
    std::size_t line = 1;
    std::size_t column = 1;
    // `position` counts the bytes read, the wrong one included.
    const std::size_t end = std::min(position == 0 ? 0 : position - 1, text_.size());
    for (const char c : text_.substr(0, end)) {
      if (c == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
        ++column;
      }
    }
    errors_.push_back({{ErrorCode::kInvalid, "not JSON: " + Reason(error.what()),
                        fmt::format("{}:{}:{}", file_name_, line, column)},
                       order_});
    fatal_ = true;
    return false;
  }
  // NOLINTEND(readability-identifier-naming)

  // One problem with the value that comes next; nothing is taken afterwards.
  bool Refuse(std::string message) { return Stop(std::move(message), Pointer()); }
  // The same with the key that comes next.
  bool RefuseKey(std::string message) { return Stop(std::move(message), stack_.back().pointer); }

 private:
  static constexpr std::size_t kErrorsKept = 200;

  struct Frame {
    Node node;
    std::string key;  // of the value that comes next
    std::unordered_set<std::string> keys;
    bool skip = false;  // drop the value that comes next: its key is a duplicate
    std::string pointer;
  };

  std::string Where(const std::string& pointer) const {
    return fmt::format("{}#{}", file_name_, pointer);
  }

  // Of the value that comes next; the parent's where it would get so long that 20,000 of them
  // mattered.
  std::string Pointer() const {
    constexpr std::size_t kLongest = 512;
    if (stack_.empty()) return "";
    const Frame& top = stack_.back();
    if (const List* list = top.node.AsList()) {
      return fmt::format("{}/{}", top.pointer, list->size());
    }
    if (top.pointer.size() + top.key.size() > kLongest) return top.pointer;
    return top.pointer + PointerStep(top.key);
  }

  bool Stop(std::string message, const std::string& pointer) {
    errors_.push_back({{ErrorCode::kInvalid, std::move(message), Where(pointer)}, order_});
    fatal_ = true;
    return false;
  }

  bool Put(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return true;
    }
    Frame& top = stack_.back();
    if (auto* list = std::get_if<List>(&top.node.value)) {
      list->push_back(std::move(node));
    } else if (!std::exchange(top.skip, false)) {
      const Place place = node.place;
      std::get<Map>(top.node.value).push_back({std::move(top.key), place, std::move(node)});
    }
    return true;
  }

  template <typename Value>
  bool Add(Value value, std::string written) {
    if (++nodes_ > kNodesMax) return Refuse(fmt::format("more than {} values", kNodesMax));
    return Put(Node{.value = std::move(value),
                    .written = std::move(written),
                    .place = {Where(Pointer()), ++order_}});
  }

  template <typename Value>
  bool Open(Value value) {
    if (++nodes_ > kNodesMax) return Refuse(fmt::format("more than {} values", kNodesMax));
    if (std::cmp_greater_equal(stack_.size(), kDepthMax)) {
      return Refuse(fmt::format("nested more than {} deep", kDepthMax));
    }
    std::string pointer = Pointer();
    Node node{.value = std::move(value), .written = {}, .place = {Where(pointer), ++order_}};
    stack_.push_back(
        {.node = std::move(node), .key = {}, .keys = {}, .skip = false, .pointer = pointer});
    return true;
  }

  bool Close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    return Put(std::move(node));
  }

  std::string_view text_;
  std::string_view file_name_;
  std::vector<LocatedError>& errors_;
  std::vector<Frame> stack_;
  std::optional<Node> root_;
  int nodes_ = 0;
  int order_ = 0;
  bool fatal_ = false;
};

// Feeds a parsed value to the builder. Recursion is bounded: the builder refuses kDepthMax.
bool Feed(const nlohmann::json& json, Builder& to) {
  switch (json.type()) {
    case nlohmann::json::value_t::null:
    case nlohmann::json::value_t::discarded:
      return to.null();
    case nlohmann::json::value_t::boolean:
      return to.boolean(json.get<bool>());
    case nlohmann::json::value_t::number_integer:
      return to.number_integer(json.get<std::int64_t>());
    case nlohmann::json::value_t::number_unsigned:
      return to.number_unsigned(json.get<std::uint64_t>());
    case nlohmann::json::value_t::number_float:
      return to.number_float(json.get<double>(), json.dump());
    case nlohmann::json::value_t::string: {
      std::string text = json.get<std::string>();
      return IsUtf8(text) ? to.string(text) : to.Refuse("text that is not UTF-8");
    }
    case nlohmann::json::value_t::binary: {
      nlohmann::json::binary_t none;
      return to.binary(none);
    }
    case nlohmann::json::value_t::array: {
      if (!to.start_array(json.size())) return false;
      for (const auto& item : json) {
        if (!Feed(item, to)) return false;
      }
      return to.end_array();
    }
    case nlohmann::json::value_t::object: {
      if (!to.start_object(json.size())) return false;
      for (const auto& [name, item] : json.items()) {
        std::string key = name;
        if (!IsUtf8(key)) return to.RefuseKey("a key that is not UTF-8");
        if (!to.key(key) || !Feed(item, to)) return false;
      }
      return to.end_object();
    }
  }
  return false;
}

bool IsJson(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  return start != std::string_view::npos && text[start] == '{';
}

}  // namespace

std::optional<Node> ReadJson(std::string_view text, const TextOptions& options,
                             std::vector<LocatedError>& errors) {
  if (text.size() > kTextBytesMax) {
    errors.push_back(
        {{ErrorCode::kTooLarge,
          fmt::format("{} bytes of spec; at most {} are read", text.size(), kTextBytesMax),
          std::string(options.file_name),
          {}},
         0});
    return std::nullopt;
  }
  Builder builder(text, options.file_name, errors);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.Take();
}

std::optional<Node> ReadJson(const nlohmann::json& json, const TextOptions& options,
                             std::vector<LocatedError>& errors) {
  Builder builder({}, options.file_name, errors);
  if (!Feed(json, builder)) return std::nullopt;
  return builder.Take();
}

std::optional<Node> ReadText(std::string_view text, const TextOptions& options,
                             std::vector<LocatedError>& errors) {
  return IsJson(text) ? ReadJson(text, options, errors) : ReadYaml(text, options, errors);
}

}  // namespace tutti::spec
