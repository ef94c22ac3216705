// One frame of the wire read as a message, with caps: nothing of it is believed before. Pure
// functions, any thread.
#pragma once

#include <google/protobuf/io/coded_stream.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/wire/protocol.h"

namespace tutti::wire {

inline constexpr int kNestingMax = 16;  // of messages in messages

// `Message` is ToCoordinator or ToWorker. nullopt for more than kMaxMessageBytes, for what nests
// deeper than kNestingMax, is cut, goes on after the message, or has no body this version knows.
template <typename Message>
std::optional<Message> ParseFrame(std::string_view frame) {
  if (static_cast<std::int64_t>(frame.size()) > kMaxMessageBytes) return std::nullopt;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(frame.data()),
                                                static_cast<int>(frame.size()));
  stream.SetRecursionLimit(kNestingMax);
  Message message;
  if (!message.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    return std::nullopt;
  }
  if (message.body_case() == Message::BODY_NOT_SET) return std::nullopt;
  return message;
}

}  // namespace tutti::wire
