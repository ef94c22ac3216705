#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <fstream>

#include "common/file/file.h"
#include "jobs/cli/doctor_checks.h"
#include "run_tutti.h"

namespace tutti::cli {
namespace {

using testing::HasSubstr;

TEST(Blas, IsTheOneTheLoaderWouldTake) {
  constexpr const char* kList =
      "\tlibopenblas.so.0 => /usr/lib/x/openblas-pthread/libopenblas.so.0 (0x1)\n"
      "\tlibblas.so.3 => /usr/lib/x/openblas-openmp/libblas.so.3 (0x2)\n"
      "\tlibc.so.6 => /lib/libc.so.6 (0x3)\n";
  EXPECT_EQ(BlasIn(kList), "/usr/lib/x/openblas-openmp/libblas.so.3");
  EXPECT_EQ(BlasIn("\tlibc.so.6 => /lib/libc.so.6 (0x3)\n"), "");
}

TEST(Memory, IsReadFromTheKernelsText) {
  EXPECT_EQ(AvailableMemory("MemTotal: 5 kB\nMemAvailable:    2048 kB\n"), Bytes{2 << 20});
  EXPECT_EQ(AvailableMemory("MemTotal: 5 kB\n"), std::nullopt);
}

TEST(Libraries, ThoseThatTheLoaderDoesNotFindAreNamed) {
  EXPECT_EQ(MissingIn("\tlibpmix.so.2 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x3)\n"
                      "\tlibmpi.so.40 => not found\n"),
            "libpmix.so.2, libmpi.so.40");
  EXPECT_EQ(MissingIn("\tlibc.so.6 => /lib/libc.so.6 (0x3)\n"), "");
}

TEST(Processor, WithoutVectorUnitsIsANoteAndBf16IsTold) {
  const Check fast =
      CheckCpu("processor: 0\nmodel name\t: A CPU\nflags\t\t: fpu avx2 avx512f amx_bf16\n", 2);
  EXPECT_EQ(fast.health, Health::kGood);
  EXPECT_EQ(fast.message, "2 cores, A CPU; avx2, avx512f, amx_bf16");
  const Check slow = CheckCpu("processor: 0\nmodel name\t: Old\nflags\t\t: fpu sse2\n", 1);
  EXPECT_EQ(slow.health, Health::kNote);
  EXPECT_THAT(slow.message, HasSubstr("no AVX2"));
  EXPECT_THAT(CheckCpu("processor: 0\nflags: avx2\n", 1).message, HasSubstr("emulated"));
}

TEST(Network, SaysWhatStopsAConnection) {
  const Check refused = CheckReach("127.0.0.1", "1");
  EXPECT_EQ(refused.health, Health::kProblem);
  EXPECT_THAT(refused.fix, HasSubstr("nothing listens"));
  EXPECT_EQ(CheckReach("no-such-host.invalid", "7717").health, Health::kProblem);
}

class Folder : public testing::Test {
 protected:
  Folder() {
    std::string pattern = testing::TempDir() + "doctor-XXXXXX";
    dir = ::mkdtemp(pattern.data());
  }
  ~Folder() override { std::filesystem::remove_all(dir); }
  std::filesystem::path dir;
};

TEST_F(Folder, AnEndpointOfAKilledClusterIsALeftover) {
  EXPECT_EQ(CheckLeftovers(dir).health, Health::kGood);
  std::ofstream(dir / "endpoint.json")
      << R"({"url": "http://127.0.0.1:1", "token_file": "/t", "pid": 999999999,)"
      << R"( "coordinator_pid": 999999999, "version": "0"})";
  const Check left = CheckLeftovers(dir);
  EXPECT_EQ(left.health, Health::kNote);
  EXPECT_THAT(left.fix, HasSubstr("tutti up"));
}

TEST_F(Folder, ALockWhosePidIsGoneIsAProblem) {
  std::ofstream(dir / "supervisor.lock") << "999999999\n";
  const UniqueFd held(::open((dir / "supervisor.lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0);
  const Check check = CheckLeftovers(dir);
  EXPECT_EQ(check.health, Health::kProblem);
  EXPECT_THAT(check.fix, HasSubstr("fuser"));
}

TEST_F(Folder, OthersMayNotWriteTheDataDirectoryNorSeeTheCoordinatorsPart) {
  EXPECT_EQ(CheckDataDir(dir).health, Health::kGood);
  ::chmod(dir.c_str(), 0777);
  EXPECT_THAT(CheckDataDir(dir).fix, HasSubstr("chmod go-w"));
  ::chmod(dir.c_str(), 0755);
  std::filesystem::create_directory(dir / "coordinator");
  ::chmod((dir / "coordinator").c_str(), 0755);
  EXPECT_THAT(CheckDataDir(dir).fix, HasSubstr("chmod 700"));
  ::chmod((dir / "coordinator").c_str(), 0700);
  EXPECT_EQ(CheckDataDir(dir).health, Health::kGood);
}

TEST(Clock, AMinuteApartIsAProblem) {
  const WallTime now{1'770'091'506'000};  // Tue, 03 Feb 2026 04:05:06 GMT
  EXPECT_EQ(CheckClock("Tue, 03 Feb 2026 04:05:00 GMT", now).health, Health::kGood);
  const Check skewed = CheckClock("Tue, 03 Feb 2026 04:15:00 GMT", now);
  EXPECT_EQ(skewed.health, Health::kProblem);
  EXPECT_THAT(skewed.message, HasSubstr("behind"));
  EXPECT_EQ(CheckClock("", now).health, Health::kGood);
  EXPECT_EQ(CheckClock("", WallTime{0}).health, Health::kProblem);
}

TEST(Token, OthersMayNotReadIt) {
  std::string pattern = testing::TempDir() + "doctor-XXXXXX";
  const std::filesystem::path dir = ::mkdtemp(pattern.data());
  EXPECT_EQ(CheckToken(dir).health, Health::kGood);
  std::ofstream(dir / "token") << "x";
  ::chmod((dir / "token").c_str(), 0644);
  EXPECT_EQ(CheckToken(dir).health, Health::kProblem);
  EXPECT_THAT(CheckToken(dir).fix, HasSubstr("chmod 600"));
  ::chmod((dir / "token").c_str(), 0600);
  EXPECT_EQ(CheckToken(dir).health, Health::kGood);
  std::filesystem::remove_all(dir);
}

TEST(Doctor, MissingProgramsAreAProblemWithItsFix) {
  const Ran ran = RunTutti({"doctor", "--json", "--data-dir", "/nonexistent/data"});
  EXPECT_EQ(ran.exit, 1);
  const nlohmann::json checks = ran.Json().at("checks");
  EXPECT_EQ(checks.at(0).at("name"), "programs");
  EXPECT_EQ(checks.at(0).at("health"), "problem");
  EXPECT_THAT(checks.at(0).at("fix").get<std::string>(), HasSubstr("./check"));
}

}  // namespace
}  // namespace tutti::cli
