#include "jobs/attempt/classify.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

namespace tutti::attempt {
namespace {

using spec::FailureReason;

std::string RankName(std::uint32_t rank) { return "rank " + std::to_string(rank); }

}  // namespace

std::optional<Failure> ClassifyExit(std::uint32_t rank, std::int32_t wait_status,
                                    const std::optional<std::string>& memory_evidence) {
  if (WIFEXITED(wait_status)) {
    const int code = WEXITSTATUS(wait_status);
    if (code == 0) return std::nullopt;
    if (code == kExitPeerGone) {
      return Failure{.reason = FailureReason::kCrash,
                     .message = RankName(rank) + " ended because a peer was gone",
                     .consequence = true};
    }
    if (memory_evidence) return Failure{FailureReason::kOom, *memory_evidence};
    return Failure{FailureReason::kCrash, RankName(rank) + " exited with status " +
                                              std::to_string(code) +
                                              " and did not say why (see its log)"};
  }
  const int signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  if (signal == SIGKILL && memory_evidence) {
    return Failure{FailureReason::kOom, *memory_evidence};
  }
  const char* name = sigabbrev_np(signal);
  return Failure{FailureReason::kCrash,
                 RankName(rank) + " was killed by SIG" + (name != nullptr ? name : "?")};
}

Failure ClassifyMessage(const enginelink::Failed& failed) {
  std::string message = RankName(failed.rank) + ": ";
  if (!failed.where.empty()) message += failed.where + ": ";
  message += failed.message;
  if (!failed.hint.empty()) message += " (" + failed.hint + ")";
  return {spec::ParseFailureReason(failed.reason).value_or(FailureReason::kInternal),
          std::move(message), failed.consequence};
}

}  // namespace tutti::attempt
