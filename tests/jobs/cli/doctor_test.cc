#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

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
