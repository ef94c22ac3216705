#include "monitoring/tensorboard/event.h"

#include <algorithm>
#include <array>
#include <bit>

namespace tutti::tensorboard {
namespace {

// Protobuf's wire types.
enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Field numbers: event.proto, summary.proto, tensor.proto, tensor_shape.proto.
constexpr std::uint64_t kEventWallTime = 1, kEventStep = 2, kEventVersion = 3, kEventSummary = 5;
constexpr std::uint64_t kSummaryValue = 1;
constexpr std::uint64_t kValueTag = 1, kValueSimple = 2, kValueTensor = 8, kValueMetadata = 9;
constexpr std::uint64_t kMetadataPlugin = 1, kMetadataClass = 4, kPluginName = 1;
constexpr std::uint64_t kTensorType = 1, kTensorShape = 2, kTensorStrings = 8;
constexpr std::uint64_t kShapeDim = 2, kDimSize = 1;
constexpr std::uint64_t kTypeString = 7;   // DT_STRING
constexpr std::uint64_t kClassTensor = 2;  // DATA_CLASS_TENSOR

class Message {
 public:
  Message& Varint(std::uint64_t field, std::uint64_t value) {
    Key(field, Wire::kVarint);
    Plain(value);
    return *this;
  }
  Message& Double(std::uint64_t field, double value) {
    return Fixed(field, Wire::kFixed64, std::bit_cast<std::uint64_t>(value));
  }
  Message& Float(std::uint64_t field, float value) {
    return Fixed(field, Wire::kFixed32, std::bit_cast<std::uint32_t>(value));
  }
  Message& Bytes(std::uint64_t field, std::string_view bytes) {
    Key(field, Wire::kBytes);
    Plain(bytes.size());
    bytes_ += bytes;
    return *this;
  }
  Message& Part(std::uint64_t field, const Message& part) { return Bytes(field, part.bytes_); }
  std::string Take() { return std::move(bytes_); }

 private:
  void Key(std::uint64_t field, Wire wire) { Plain(field << 3 | static_cast<std::uint64_t>(wire)); }
  void Plain(std::uint64_t value) {
    for (; value > 0x7F; value >>= 7) bytes_ += static_cast<char>((value & 0x7F) | 0x80);
    bytes_ += static_cast<char>(value);
  }
  template <typename Bits>
  Message& Fixed(std::uint64_t field, Wire wire, Bits bits) {
    Key(field, wire);
    for (std::size_t i = 0; i < sizeof bits; ++i) {
      bytes_ += static_cast<char>((bits >> (8 * i)) & 0xFF);
    }
    return *this;
  }

  std::string bytes_;
};

Message Event(WallTime at, std::int64_t step) {
  Message event;
  event.Double(kEventWallTime, static_cast<double>(at.unix_ms) / 1000.0);
  event.Varint(kEventStep, static_cast<std::uint64_t>(step));
  return event;
}

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;      // of a varint
  std::string_view bytes = {};  // of kBytes
};

bool TakeVarint(std::string_view& from, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !from.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

// The next field of `from`; false at its end, or when it is damaged.
bool TakeField(std::string_view& from, Field& field) {
  std::uint64_t key = 0;
  if (!TakeVarint(from, key)) return false;
  field = {.number = key >> 3};
  std::size_t size = 0;
  switch (static_cast<Wire>(key & 7)) {
    case Wire::kVarint:
      return TakeVarint(from, field.value);
    case Wire::kFixed64:
      size = 8;
      break;
    case Wire::kFixed32:
      size = 4;
      break;
    case Wire::kBytes: {
      std::uint64_t length = 0;
      if (!TakeVarint(from, length) || length > from.size()) return false;
      size = static_cast<std::size_t>(length);
      break;
    }
    default:
      return false;
  }
  if (size > from.size()) return false;
  field.bytes = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

// The first field of that number, as bytes.
std::optional<std::string_view> FirstIn(std::string_view message, std::uint64_t number) {
  for (Field field; TakeField(message, field);) {
    if (field.number == number) return field.bytes;
  }
  return std::nullopt;
}

}  // namespace

std::string VersionEvent(WallTime at) {
  return Event(at, 0).Bytes(kEventVersion, "brain.Event:2").Take();
}

std::string ScalarsEvent(const Scalars& scalars) {
  Message summary;
  for (const auto& [tag, value] : scalars.values) {
    Message one;
    one.Bytes(kValueTag, tag).Float(kValueSimple, static_cast<float>(value));
    summary.Part(kSummaryValue, one);
  }
  return Event(scalars.at, scalars.step).Part(kEventSummary, summary).Take();
}

std::string TextEvent(WallTime at, std::string_view tag, std::string_view markdown) {
  Message plugin, metadata, dim, shape, tensor, value, summary;
  plugin.Bytes(kPluginName, "text");
  metadata.Part(kMetadataPlugin, plugin).Varint(kMetadataClass, kClassTensor);
  dim.Varint(kDimSize, 1);
  shape.Part(kShapeDim, dim);
  tensor.Varint(kTensorType, kTypeString).Part(kTensorShape, shape).Bytes(kTensorStrings, markdown);
  value.Bytes(kValueTag, tag).Part(kValueTensor, tensor).Part(kValueMetadata, metadata);
  summary.Part(kSummaryValue, value);
  return Event(at, 0).Part(kEventSummary, summary).Take();
}

std::optional<Summary> SummaryOf(std::string_view event) {
  Summary found;
  bool any = false;
  for (Field field; TakeField(event, field);) {
    if (field.number == kEventStep) found.step = static_cast<std::int64_t>(field.value);
    if (field.number != kEventSummary) continue;
    const auto value = FirstIn(field.bytes, kSummaryValue);
    const auto tag = value ? FirstIn(*value, kValueTag) : std::nullopt;
    if (!tag) return std::nullopt;
    found.tag = *tag;
    any = true;
  }
  return any ? std::optional(std::move(found)) : std::nullopt;
}

std::string TagOf(std::string_view curve) {
  static constexpr std::array kTrain = {std::string_view("loss"), std::string_view("learning_rate"),
                                        std::string_view("grad_norm"), std::string_view("epoch")};
  std::string tag(curve);
  std::replace(tag.begin(), tag.end(), '.', '/');
  if (tag.starts_with("eval/")) return tag;
  const bool train = std::find(kTrain.begin(), kTrain.end(), curve) != kTrain.end();
  return (train ? "train/" : "perf/") + tag;
}

}  // namespace tutti::tensorboard
