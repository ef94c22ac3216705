#include "jobs/spec/yaml.h"

#include <fmt/format.h>
#include <yaml.h>

#include <unordered_map>
#include <utility>

#include "jobs/spec/suggest.h"

namespace tutti::spec {
namespace {

constexpr std::size_t kErrorsKept = 200;

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&raw_); }

  yaml_event_t* raw() { return &raw_; }
  const yaml_event_t& operator*() const { return raw_; }
  const yaml_event_t* operator->() const { return &raw_; }

 private:
  yaml_event_t raw_{};
};

std::string TextOf(const yaml_char_t* text, std::size_t length) {
  return {reinterpret_cast<const char*>(text), length};
}

// Recursion below is bounded by kDepthMax, the number of nodes by kNodesMax.
class YamlReader {
 public:
  YamlReader(std::string_view text, const TextOptions& options, std::vector<LocatedError>& errors)
      : text_(text.empty() ? std::string_view("") : text),  // libyaml takes no null pointer
        file_name_(options.file_name),
        errors_(errors) {
    ready_ = yaml_parser_initialize(&parser_) == 1;
    if (!ready_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text_.data()),
                                 text_.size());
  }
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;
  ~YamlReader() {
    if (ready_) yaml_parser_delete(&parser_);
  }

  std::optional<Node> Document() {
    if (!ready_) {
      errors_.push_back({{ErrorCode::kInternal, "libyaml has no memory"}, 0});
      return std::nullopt;
    }
    Event stream;
    if (!Next(stream)) return std::nullopt;
    Event first;
    if (!Next(first)) return std::nullopt;
    if (first->type == YAML_STREAM_END_EVENT) {
      return Node{.value = Null{}, .written = {}, .place = At(first->start_mark)};
    }
    const auto& directives = first->data.document_start;
    if (directives.version_directive != nullptr ||
        directives.tag_directives.start != directives.tag_directives.end) {
      Complain("YAML directives are not accepted", At(first->start_mark),
               "remove the line that starts with %");
    }
    std::optional<Node> root = ReadNode(1);
    if (!root) return std::nullopt;
    Event end;
    Event after;
    if (!Next(end) || !Next(after)) return std::nullopt;
    if (after->type != YAML_STREAM_END_EVENT) {
      Complain("a second YAML document; a file holds one spec", At(after->start_mark),
               "remove the line --- or split the file");
      return std::nullopt;
    }
    return root;
  }

 private:
  Place At(const yaml_mark_t& mark) {
    return {fmt::format("{}:{}:{}", file_name_, mark.line + 1, mark.column + 1), ++order_};
  }

  void Complain(std::string message, Place place, std::string hint = {}) {
    if (errors_.size() >= kErrorsKept) return;
    errors_.push_back(
        {{ErrorCode::kInvalid, std::move(message), std::move(place.where), std::move(hint)},
         place.order});
  }

  bool Next(Event& event) {
    if (yaml_parser_parse(&parser_, event.raw()) == 1) return true;
    yaml_mark_t mark = parser_.problem_mark;
    std::string message = parser_.problem != nullptr ? parser_.problem : "not YAML";
    if (parser_.error == YAML_READER_ERROR) {  // has an offset instead of a mark
      mark = MarkOfOffset(parser_.problem_offset);
    } else if (parser_.context != nullptr) {
      message += fmt::format(" {}", parser_.context);
      if (parser_.context_mark.line != mark.line) {
        message += fmt::format(" that starts in line {}", parser_.context_mark.line + 1);
      }
    }
    Complain("not YAML: " + message, At(mark));
    return false;
  }

  yaml_mark_t MarkOfOffset(std::size_t offset) const {
    yaml_mark_t mark{};
    for (std::size_t i = 0; i < offset && i < text_.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text_[i]);
      if (byte == '\n') {
        ++mark.line;
        mark.column = 0;
      } else if ((byte & 0xC0U) != 0x80U) {
        ++mark.column;
      }
    }
    return mark;
  }

  void RefuseProperties(const yaml_char_t* anchor, const yaml_char_t* tag, const Place& place) {
    if (anchor != nullptr) {
      Complain("YAML anchors are not accepted", place, "write the value out where it is used");
    }
    if (tag != nullptr) {
      Complain("YAML tags are not accepted", place, "remove the word that starts with !");
    }
  }

  std::optional<Node> ReadNode(int depth) {
    Event event;
    if (!Next(event)) return std::nullopt;
    return ReadNode(event, depth);
  }

  std::optional<Node> ReadNode(const Event& event, int depth) {
    Place place = At(event->start_mark);
    if (++nodes_ > kNodesMax) {
      Complain(fmt::format("more than {} values", kNodesMax), place);
      return std::nullopt;
    }
    if (depth > kDepthMax) {
      Complain(fmt::format("nested more than {} deep", kDepthMax), place);
      return std::nullopt;
    }
    switch (event->type) {
      case YAML_ALIAS_EVENT:
        Complain("YAML aliases are not accepted", place, "write the value out where it is used");
        return Node{.value = Null{}, .written = {}, .place = std::move(place)};
      case YAML_SCALAR_EVENT:
        return Scalar(*event, std::move(place));
      case YAML_SEQUENCE_START_EVENT:
        RefuseProperties(event->data.sequence_start.anchor, event->data.sequence_start.tag, place);
        return Sequence(std::move(place), depth);
      case YAML_MAPPING_START_EVENT:
        RefuseProperties(event->data.mapping_start.anchor, event->data.mapping_start.tag, place);
        return Mapping(std::move(place), depth);
      case YAML_NO_EVENT:
      case YAML_STREAM_START_EVENT:
      case YAML_STREAM_END_EVENT:
      case YAML_DOCUMENT_START_EVENT:
      case YAML_DOCUMENT_END_EVENT:
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        break;
    }
    Complain("not YAML: a value is missing", place);
    return std::nullopt;
  }

  Node Scalar(const yaml_event_t& event, Place place) {
    const auto& scalar = event.data.scalar;
    RefuseProperties(scalar.anchor, scalar.tag, place);
    std::string text = TextOf(scalar.value, scalar.length);
    Node node;
    if (scalar.style == YAML_PLAIN_SCALAR_STYLE) {
      node = ResolvePlain(text);
    } else {
      node.written = text;
      node.value = std::move(text);
    }
    node.place = std::move(place);
    return node;
  }

  std::optional<Node> Sequence(Place place, int depth) {
    List items;
    while (true) {
      Event event;
      if (!Next(event)) return std::nullopt;
      if (event->type == YAML_SEQUENCE_END_EVENT) break;
      std::optional<Node> item = ReadNode(event, depth + 1);
      if (!item) return std::nullopt;
      items.push_back(*std::move(item));
    }
    return Node{.value = std::move(items), .written = {}, .place = std::move(place)};
  }

  std::optional<Node> Mapping(Place place, int depth) {
    Map entries;
    std::unordered_map<std::string, std::string> seen;  // key -> where it stood first
    while (true) {
      Event event;
      if (!Next(event)) return std::nullopt;
      if (event->type == YAML_MAPPING_END_EVENT) break;
      Place key_place = At(event->start_mark);
      const bool is_text = event->type == YAML_SCALAR_EVENT;
      const bool is_merge = is_text && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                            TextOf(event->data.scalar.value, event->data.scalar.length) == "<<";
      std::optional<Node> key = ReadNode(event, depth + 1);
      if (!key) return std::nullopt;
      std::optional<Node> value = ReadNode(depth + 1);
      if (!value) return std::nullopt;
      if (is_merge) {
        Complain("YAML merge keys are not accepted", key_place,
                 "write the fields out where they are used");
      } else if (!is_text) {
        Complain("a key must be text", key_place);
      } else if (const auto [found, is_new] = seen.try_emplace(key->written, key_place.where);
                 !is_new) {
        Complain(fmt::format("duplicate key {}", Quoted(key->written)), key_place,
                 fmt::format("it stands at {} already", found->second));
      } else {
        entries.push_back(Entry{key->written, std::move(key_place), *std::move(value)});
      }
    }
    return Node{.value = std::move(entries), .written = {}, .place = std::move(place)};
  }

  std::string_view text_;
  std::string_view file_name_;
  std::vector<LocatedError>& errors_;
  yaml_parser_t parser_{};
  bool ready_ = false;
  int nodes_ = 0;
  int order_ = 0;
};

}  // namespace

std::optional<Node> ReadYaml(std::string_view text, const TextOptions& options,
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
  return YamlReader(text, options, errors).Document();
}

}  // namespace tutti::spec
