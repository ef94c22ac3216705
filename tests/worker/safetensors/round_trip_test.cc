#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "common/file/file.h"
#include "worker/safetensors/convert.h"
#include "worker/safetensors/reader.h"
#include "worker/safetensors/writer.h"

namespace tutti::safetensors {
namespace {

namespace fs = std::filesystem;

class RoundTrip : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) /
           testing::UnitTest::GetInstance()->current_test_info()->name();
    ASSERT_TRUE(RemoveTree(dir_).has_value());
    ASSERT_TRUE(MakeDirectories(dir_).has_value());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_).has_value()); }
  fs::path dir_;
};

std::vector<TensorToWrite> Sample(std::span<const float> f, std::span<const std::int64_t> i,
                                  std::span<const std::byte> b) {
  return {{.name = "z.weight", .dtype = DType::kF32, .shape = {2, 2}, .data = std::as_bytes(f)},
          {.name = "bytes", .dtype = DType::kU8, .shape = {3}, .data = b},
          {.name = "a.bias", .dtype = DType::kF32, .shape = {0}, .data = {}},
          {.name = "ids", .dtype = DType::kI64, .shape = {1}, .data = std::as_bytes(i)}};
}

TEST_F(RoundTrip, WhatIsWrittenIsRead) {
  const std::array<float, 4> f = {1, 2, 3, 4};
  const std::array<std::int64_t, 1> i = {7};
  const std::array<std::byte, 3> b = {std::byte{1}, std::byte{2}, std::byte{3}};
  const fs::path path = dir_ / "m.safetensors";
  const auto written = Write(path, Sample(f, i, b));
  ASSERT_TRUE(written.has_value()) << written.error().ToString();
  EXPECT_EQ(written->digest, Sha256OfFile(path).value());
  EXPECT_EQ(static_cast<std::uintmax_t>(written->size.count), fs::file_size(path));

  const auto file = File::Open(path);
  ASSERT_TRUE(file.has_value()) << file.error().ToString();
  ASSERT_EQ(file->size(), 4U);
  EXPECT_EQ(file->at(0).name, "a.bias");
  EXPECT_EQ(file->metadata().at("format"), "pt");
  std::array<float, 4> back{};
  ASSERT_TRUE(ToFloat32(file->Find("z.weight").value(), back).has_value());
  EXPECT_EQ(back, f);
  std::array<std::int64_t, 1> ids{};
  ASSERT_TRUE(ToInt64(file->Find("ids").value(), ids).has_value());
  EXPECT_EQ(ids, i);
  EXPECT_THAT(file->Find("bytes")->data, testing::ElementsAreArray(b));
  EXPECT_EQ(file->Find("c").error().code, ErrorCode::kNotFound);
  // Each starts where its type may.
  for (std::size_t n = 0; n < file->size(); ++n) {
    const Tensor t = file->at(n);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data.data()) % SizeOf(t.dtype), 0U) << t.name;
  }
}

TEST_F(RoundTrip, TheSameTensorsGiveTheSameBytesInAnyOrder) {
  const std::array<float, 4> f = {1, 2, 3, 4};
  const std::array<std::int64_t, 1> i = {7};
  const std::array<std::byte, 3> b{};
  std::vector<TensorToWrite> backwards = Sample(f, i, b);
  std::reverse(backwards.begin(), backwards.end());
  const auto one = Write(dir_ / "1", Sample(f, i, b));
  const auto two = Write(dir_ / "2", backwards, {.durable = false});
  ASSERT_TRUE(one.has_value() && two.has_value());
  EXPECT_EQ(one->digest, two->digest);
}

TEST_F(RoundTrip, AFailedWriteLeavesNothing) {
  const std::array<float, 4> f{};
  const auto bytes = std::as_bytes(std::span(f));
  const fs::path path = dir_ / "m";
  EXPECT_EQ(Write(path, {{.name = "a", .shape = {3}, .data = bytes}}).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(Write(path, {{.name = "a", .shape = {4}, .data = bytes},
                         {.name = "a", .shape = {4}, .data = bytes}})
                .error()
                .message,
            "tensor a twice");
  ASSERT_TRUE(MakeDirectories(dir_ / "taken").has_value());
  EXPECT_FALSE(Write(dir_ / "taken", {{.name = "a", .shape = {4}, .data = bytes}}).has_value());
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), fs::directory_iterator()), 1);
}

TEST_F(RoundTrip, CutFilesAreRefused) {
  const std::array<float, 4> f = {1, 2, 3, 4};
  const fs::path path = dir_ / "m";
  ASSERT_TRUE(
      Write(path, {{.name = "a", .shape = {4}, .data = std::as_bytes(std::span(f))}}).has_value());
  const std::string whole = ReadFile(path).value();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_TRUE(
        WriteFileAtomically(dir_ / "cut", whole.substr(0, size), {.durable = false}).has_value());
    EXPECT_FALSE(File::Open(dir_ / "cut").has_value()) << size;
  }
  ASSERT_TRUE(WriteFileAtomically(dir_ / "cut", whole + "x").has_value());
  EXPECT_FALSE(File::Open(dir_ / "cut").has_value());
  ASSERT_TRUE(WriteFileAtomically(dir_ / "cut", std::string(9, '\xff')).has_value());
  EXPECT_FALSE(File::Open(dir_ / "cut").has_value());
  EXPECT_FALSE(File::Open(dir_).has_value());
}

}  // namespace
}  // namespace tutti::safetensors
