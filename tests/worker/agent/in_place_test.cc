#include "worker/agent/in_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <string>

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class InPlace : public testing::Test {
 protected:
  InPlace() {
    std::string pattern = testing::TempDir() + "in-place-XXXXXX";
    dir_ = fs::canonical(::mkdtemp(pattern.data()));
    roots_ = {dir_ / "none", dir_ / "root"};
    Write("root/sets/rows.jsonl", "rows");
    Write("out/rows.jsonl", "secret");
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "README.md"}) {
      Write("root/llama/" + std::string(name), "llama's");
    }
  }
  ~InPlace() override { fs::remove_all(dir_); }

  void Write(const std::string& name, const std::string& text) {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << text;
  }
  void WriteAdapter(const std::string& base) {
    Write("root/adapter/adapter_config.json", R"({"base_model_name_or_path": ")" + base + "\"}");
    Write("root/adapter/adapter_model.safetensors", "trained");
  }
  // Somebody puts a link to `to` where `path` is.
  void Swap(const fs::path& path, const fs::path& to) {
    fs::rename(path, dir_ / "was");
    fs::create_symlink(to, path);
  }
  PinOptions Options() { return {.data_roots = roots_, .folder = dir_ / "links", .files = files_}; }
  Result<fs::path> Data(const std::string& name) { return PinData(dir_ / name, Options()); }
  Result<fs::path> Model(const std::string& name) { return PinModel(dir_ / name, Options()); }
  static std::string Read(const fs::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::vector<std::string> Links() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(dir_ / "links")) {
      if (entry.is_symlink()) names.push_back(entry.path().lexically_relative(dir_ / "links"));
    }
    return names;
  }

  fs::path dir_;
  std::vector<fs::path> roots_;
  PinnedFiles files_;
};

// The engine opens a path after the worker has looked at it; in between it may change.
TEST_F(InPlace, DataIsWhatWasLookedAtWhateverIsSwappedAfterwards) {
  const auto path = Data("root/sets/rows.jsonl");
  ASSERT_TRUE(path) << path.error().ToString();
  EXPECT_EQ(path->filename(), "rows.jsonl");
  Swap(dir_ / "root/sets", dir_ / "out");
  ASSERT_EQ(Read(dir_ / "root/sets/rows.jsonl"), "secret");
  EXPECT_EQ(Read(*path), "rows");
}

TEST_F(InPlace, AModelIsWhatWasLookedAtWhateverIsSwappedAfterwards) {
  Write("out/model.safetensors", "secret");
  fs::remove(dir_ / "root/llama/model.safetensors");
  Write("root/blobs/1234", "weights");
  fs::create_symlink("../blobs/1234", dir_ / "root/llama/model.safetensors");
  const auto path = Model("root/llama");
  ASSERT_TRUE(path) << path.error().ToString();
  EXPECT_THAT(Links(), UnorderedElementsAre("config.json", "model.safetensors", "tokenizer.json"));
  Swap(dir_ / "root/llama/model.safetensors", dir_ / "out/model.safetensors");
  EXPECT_EQ(Read(*path / "model.safetensors"), "weights");
  fs::remove(dir_ / "was");
  Swap(dir_ / "root/llama", dir_ / "out");
  EXPECT_EQ(Read(*path / "model.safetensors"), "weights");
  // What an export makes of it is a file, not a link to this process.
  ASSERT_TRUE(LinkOrCopy(*path / "model.safetensors", dir_ / "exported"));
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(dir_ / "exported")));
  EXPECT_EQ(Read(dir_ / "exported"), "weights");
}

TEST_F(InPlace, OnlyWhatLiesBelowARootIsRead) {
  fs::create_symlink(dir_ / "out/rows.jsonl", dir_ / "root/sets/link.jsonl");
  fs::create_symlink("sets/rows.jsonl", dir_ / "root/within.jsonl");
  ASSERT_EQ(::mkfifo((dir_ / "root/pipe").c_str(), 0600), 0);
  for (const char* bad : {"out/rows.jsonl", "root/sets/link.jsonl", "root/../out/rows.jsonl",
                          "root/sets/none.jsonl", "root/sets", "root/pipe"}) {
    EXPECT_FALSE(Data(bad)) << bad;
  }
  EXPECT_THAT(Data("out/rows.jsonl").error().hint, HasSubstr("--data-root"));
  const auto within = Data("root/within.jsonl");
  ASSERT_TRUE(within) << within.error().ToString();
  EXPECT_EQ(Read(*within), "rows");
  EXPECT_THAT(Model("root/sets").error().where, HasSubstr("link.jsonl"));
}

TEST_F(InPlace, AnAdaptersBaseLiesWhereItSays) {
  for (const std::string& base : {std::string("../llama"), (dir_ / "root/llama").string()}) {
    WriteAdapter(base);
    fs::remove_all(dir_ / "links");
    const auto path = Model("root/adapter");
    ASSERT_TRUE(path) << path.error().ToString();
    EXPECT_THAT(Links(), UnorderedElementsAre("adapter_config.json", "adapter_model.safetensors",
                                              "base/config.json", "base/model.safetensors",
                                              "tokenizer.json"));
    EXPECT_EQ(Read(*path / "base/model.safetensors"), "llama's");
  }
  WriteAdapter("elsewhere");
  fs::create_directory_symlink("../llama", dir_ / "root/adapter/base");
  EXPECT_TRUE(Model("root/adapter"));
}

TEST_F(InPlace, AnAdaptersBaseDoesNotLeadOut) {
  Write("out/config.json", "{}");
  for (const std::string& base : {std::string("../../out"), (dir_ / "out").string(),
                                  std::string("gone"), std::string("ft:a"), std::string()}) {
    WriteAdapter(base);
    const auto path = Model("root/adapter");
    ASSERT_FALSE(path) << base;
    EXPECT_EQ(path.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(path.error().message, HasSubstr("the adapter's base '" + base + "'"));
  }
  WriteAdapter("../other");
  Write("root/other/adapter_config.json", "{}");
  EXPECT_THAT(Model("root/adapter").error().message, HasSubstr("is an adapter itself"));
  fs::create_directory_symlink("../../out", dir_ / "root/adapter/base");
  EXPECT_THAT(Model("root/adapter").error().ToString(),
              AllOf(HasSubstr("may not read data there"), HasSubstr("adapter/base")));
}

TEST_F(InPlace, NothingIsLeftOpen) {
  const auto open = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open();
  {
    PinnedFiles files;
    WriteAdapter("../llama");
    const PinOptions options{.data_roots = roots_, .folder = dir_ / "links", .files = files};
    ASSERT_TRUE(PinModel(dir_ / "root/adapter", options));
    EXPECT_EQ(open(), before + 5);
  }
  EXPECT_EQ(open(), before);
}

}  // namespace
}  // namespace tutti::agent
