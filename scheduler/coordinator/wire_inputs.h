// Messages of workers as the scheduler's inputs, and its effects as messages. Pure functions.
// Everything a worker sends is checked: ids, sizes, enums.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/wire/messages.pb.h"
#include "scheduler/core/inputs.h"
#include "scheduler/core/ledger.h"

namespace tutti::coordinator {

bool IsWorkerName(const std::string& name);
Error NoWorkerName();  // what to say of another
// kInvalid when protocols differ (the message names both versions) or a field is out of range.
// `fresh`: the node's id when its name is new.
Result<core::RegisterNode> ReadRegister(const wire::Register& message, std::uint64_t session,
                                        NodeId fresh);
// Gangs whose id is none are left out.
std::vector<core::GangSeen> ReadGangs(
    const google::protobuf::RepeatedPtrField<wire::GangStatus>& gangs);

core::ReportStarted ReadStarted(const wire::GangReport& report, NodeId node, JobId job);
core::ReportCheckpoint ReadCheckpoint(const wire::GangReport& report, NodeId node, JobId job);
core::ReportEnded ReadEnded(const wire::GangReport& report, NodeId node, JobId job);

// What a worker advertises; "" = nothing that is known.
using AddressOf = std::function<std::string(NodeId)>;
// nullopt when the job has no such attempt any more.
std::optional<wire::LaunchGang> WriteLaunch(const core::Ledger& ledger,
                                            const core::LaunchGang& effect,
                                            const AddressOf& address_of);
wire::StopGang WriteStop(const core::StopGang& effect);

}  // namespace tutti::coordinator
