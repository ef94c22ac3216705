// What `tutti doctor` looks at, one function a check; each says what to do about a problem. They
// change nothing. Main thread only.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/units.h"
#include "jobs/cli/commands.h"

namespace tutti::cli {

enum class Health { kGood, kNote, kProblem };

struct Check {
  std::string name;
  Health health = Health::kGood;
  std::string message{};
  std::string fix{};  // a command or a sentence; "" where nothing is to be done
};

Check CheckPrograms(const std::filesystem::path& bin_dir);
Check CheckBlas(const std::filesystem::path& bin_dir);
// The path of the BLAS in what the loader lists for a program (the format of ldd); "" when none.
std::string BlasIn(std::string_view loader_list);
// Every library of every program is there.
Check CheckLibraries(const std::filesystem::path& bin_dir);
// The names of those that a loader's list says are not found; "" = none.
std::string MissingIn(std::string_view loader_list);
Check CheckMpi(const std::filesystem::path& bin_dir);
Check CheckCpu();
Check CheckCpu(std::string_view cpuinfo, int cores);  // of /proc/cpuinfo's text
Check CheckSharedMemory();
Check CheckLimits();
Check CheckControlGroups();
Check CheckMemory();
// MemAvailable of /proc/meminfo's text; nullopt when it is not there.
std::optional<Bytes> AvailableMemory(std::string_view meminfo);
Check CheckDisk(const std::filesystem::path& data_dir);
Check CheckDataDir(const std::filesystem::path& data_dir);
Check CheckToken(const std::filesystem::path& data_dir);
Check CheckPort(int port);
// What a cluster that was killed left in its data directory.
Check CheckLeftovers(const std::filesystem::path& data_dir);
// A TCP connection from here.
Check CheckReach(const std::string& host, const std::string& port);
Check CheckCoordinator(Context& context);
Check CheckWorkers(Context& context);
// `date`: the Date header of an answer; "" when there is no coordinator to compare with.
Check CheckClock(std::string_view date, WallTime now);

}  // namespace tutti::cli
