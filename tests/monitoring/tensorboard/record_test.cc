#include "monitoring/tensorboard/record.h"

#include <gtest/gtest.h>

namespace tutti::tensorboard {
namespace {

TEST(Record, ChecksumIsThatOfTheRfc) {
  EXPECT_EQ(Crc32c(""), 0U);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST(Record, ComesBackAsItWas) {
  const std::string file = Framed("one") + Framed("") + Framed(std::string(300, 'x'));
  RecordReader reader(file);
  std::string_view record;
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record, "one");
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record, "");
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record, std::string(300, 'x'));
  EXPECT_FALSE(reader.Next(record));
  EXPECT_EQ(reader.position(), file.size());
}

TEST(Record, EndsWhereTheFileIsCutOrDamaged) {
  const std::string whole = Framed("one");
  const std::string file = whole + Framed("two");
  std::string_view record;
  for (std::size_t size = whole.size(); size < file.size(); ++size) {
    RecordReader reader(std::string_view(file).substr(0, size));
    EXPECT_TRUE(reader.Next(record));
    EXPECT_FALSE(reader.Next(record)) << size;
    EXPECT_EQ(reader.position(), whole.size());
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    RecordReader reader(damaged);
    EXPECT_FALSE(reader.Next(record)) << at;
  }
}

}  // namespace
}  // namespace tutti::tensorboard
