// A job's checkpoints on a machine that does not share the coordinator's jobs folder: what lies in
// its own folder is a copy of what the coordinator counts. Free functions for threads off the loop.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/enginelink/messages.h"
#include "common/wire/messages.pb.h"
#include "worker/agent/remote_blobs.h"

namespace tutti::agent {

// What the coordinator is told of a checkpoint that was written here. With `remote` both of its
// files are sent there first, the manifest last. kNotFound: it has been collected already;
// kConflict: the attempt is over.
Result<wire::CheckpointCommitted> HandOver(const enginelink::Checkpoint& checkpoint,
                                           const std::string& job, const RemoteBlobs* remote,
                                           std::stop_token stop);

// Makes `folder` hold what the launch needs: the newest of its checkpoints that can be had whole,
// and for rank 0 the one with the best weights. Everything the launch does not list goes, so that
// all machines of a gang go on from the same. Returns what could not be had, for people.
// kDiskFull, kIo, kUnavailable.
Result<std::vector<std::string>> FetchCheckpoints(const wire::LaunchGang& launch,
                                                  const std::filesystem::path& folder,
                                                  const RemoteBlobs& remote, std::stop_token stop);

// Removes folders of jobs in `jobs_dir` that were last changed more than a day ago, but for
// `running` ones.
void PruneJobFolders(const std::filesystem::path& jobs_dir,
                     const std::vector<std::string>& running);

// What jobs_dir/folder.id says; "" when there is none.
std::string FolderIdOf(const std::filesystem::path& jobs_dir);

}  // namespace tutti::agent
