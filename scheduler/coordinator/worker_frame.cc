#include "scheduler/coordinator/worker_frame.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>

#include "common/wire/frame.h"

namespace tutti::coordinator {
namespace {

// Two bytes of an empty element become some eighty in memory: bodies with lists get less than text.
constexpr std::int64_t kListsMax = 1 << 20;

bool HasList(int body) {
  return body == wire::ToCoordinator::kRegisterFieldNumber ||
         body == wire::ToCoordinator::kHeartbeatFieldNumber ||
         body == wire::ToCoordinator::kGangReportFieldNumber;
}

// Whether a body with lists, or a field that nobody knows, takes more than kListsMax of the frame.
bool HasLongLists(std::string_view frame) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(frame.data()),
                                                static_cast<int>(frame.size()));
  stream.SetRecursionLimit(wire::kNestingMax);
  std::int64_t bytes = 0;
  for (std::uint32_t tag = stream.ReadTag(); tag != 0; tag = stream.ReadTag()) {
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    const int start = stream.CurrentPosition();
    if (!WireFormatLite::SkipField(&stream, tag)) return true;  // and no message either
    const bool known = wire::ToCoordinator::descriptor()->FindFieldByNumber(field) != nullptr;
    if (HasList(field) || !known) bytes += stream.CurrentPosition() - start;
  }
  return bytes > kListsMax;
}

}  // namespace

std::optional<wire::ToCoordinator> ParseWorkerFrame(std::string_view frame) {
  if (static_cast<std::int64_t>(frame.size()) > kListsMax && HasLongLists(frame)) {
    return std::nullopt;
  }
  return wire::ParseFrame<wire::ToCoordinator>(frame);
}

}  // namespace tutti::coordinator
