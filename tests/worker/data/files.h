// Data files for tests, in a folder of its own for each test. One thread.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "common/file/file.h"

namespace tutti::data {

class DataTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / (std::string("data-") + info->name());
    ASSERT_TRUE(RemoveTree(folder_).has_value());
    ASSERT_TRUE(MakeDirectories(folder_).has_value());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_).has_value()); }

  std::filesystem::path Put(const std::string& name, std::string_view text) const {
    std::filesystem::path path = folder_ / name;
    EXPECT_TRUE(WriteFileAtomically(path, text, {.durable = false}).has_value());
    return path;
  }

  std::filesystem::path folder_;
};

// One gzip member.
inline std::string Gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  std::string in(text);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace tutti::data
