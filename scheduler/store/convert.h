// Pieces that facts and snapshot rows have in common, to and from protobuf. Internal to
// scheduler/store; pure functions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "scheduler/core/facts.h"
#include "scheduler/store/journal.pb.h"

namespace tutti::store {

void ToProto(const core::JobRequest& from, journal::JobRequest* to);
Result<core::JobRequest> FromProto(const journal::JobRequest& from);

void ToProto(const core::QueueConfig& from, journal::Queue* to);
core::QueueConfig FromProto(const journal::Queue& from);

void ToProto(const core::Estimate& from, journal::Estimate* to);
core::Estimate FromProto(const journal::Estimate& from);

void ToProto(const core::CheckpointFiles& from, journal::CheckpointFiles* to);
core::CheckpointFiles FromProto(const journal::CheckpointFiles& from);

template <typename Repeated>
void MembersToProto(const std::vector<core::GangMember>& from, Repeated* to) {
  for (const core::GangMember& member : from) {
    auto* out = to->Add();
    out->set_node(member.node.value());
    out->set_first_rank(member.first_rank);
    out->set_ranks(member.ranks);
  }
}
template <typename Repeated>
std::vector<core::GangMember> MembersFromProto(const Repeated& from) {
  std::vector<core::GangMember> to;
  for (const auto& member : from) {
    to.push_back({NodeId(member.node()), member.first_rank(), member.ranks()});
  }
  return to;
}

template <typename Map>
void LabelsToProto(const std::map<std::string, std::string>& from, Map* to) {
  for (const auto& [name, value] : from) (*to)[name] = value;
}
template <typename Map>
std::map<std::string, std::string> LabelsFromProto(const Map& from) {
  return {from.begin(), from.end()};
}

template <typename Repeated>
void FilesToProto(const std::vector<core::ModelFile>& from, Repeated* to) {
  for (const core::ModelFile& file : from) {
    auto* out = to->Add();
    out->set_path(file.path);
    out->set_digest(file.digest);
    out->set_size_bytes(file.size_bytes);
  }
}
template <typename Repeated>
std::vector<core::ModelFile> FilesFromProto(const Repeated& from) {
  std::vector<core::ModelFile> to;
  for (const auto& file : from) to.push_back({file.path(), file.digest(), file.size_bytes()});
  return to;
}

Result<spec::FailureReason> FailureFromText(const std::string& text);
Result<core::StopWhy> StopWhyFromText(const std::string& text);

}  // namespace tutti::store
