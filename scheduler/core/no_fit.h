// Why a gang has no place, in words and numbers: counts the nodes, for people. No threads.
#pragma once

#include "scheduler/core/place.h"

namespace tutti::core {

// Of a job that finds no slots or memory. `blocks`: as Blocks says of it.
NoFit WhyNot(const Job& job, const Plan& plan, bool blocks);

// That all registered nodes together could not hold a gang of that size.
Unexpected TooLarge(const Ledger& ledger, const JobRequest& request, std::uint32_t size,
                    std::uint64_t memory_bytes_per_rank);

}  // namespace tutti::core
