#include "jobs/cli/model_folder.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <fstream>

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ModelFolderTest : public testing::Test {
 protected:
  ModelFolderTest() {
    std::string pattern = testing::TempDir() + "model-folder-XXXXXX";
    dir_ = fs::canonical(::mkdtemp(pattern.data()));
    Write("adapter/adapter_model.safetensors", "trained");
    Name("gone");
  }
  ~ModelFolderTest() override { fs::remove_all(dir_); }

  void Write(const std::string& name, const std::string& text) {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << text;
  }
  void WriteBase(const std::string& folder) {
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "train.bin"}) {
      Write(folder + "/" + name, "{}");
    }
  }
  void Name(const std::string& base) {
    Write("adapter/adapter_config.json", R"({"base_model_name_or_path": ")" + base + "\"}");
  }
  client::Answer<ModelFolder> Read() {
    return ReadModelFolder(dir_ / "adapter", dir_ / "specs", [this](const std::string& model) {
      asked_ = model;
      return client::Answer<std::vector<spec::InputFile>>(cluster_);
    });
  }
  // Where base/config.json is taken from.
  fs::path Base() {
    const auto model = Read();
    if (!model) return model.error().front().ToString();
    for (const FolderFile& file : model->files) {
      if (file.place == "base/config.json") return file.path.parent_path();
    }
    return {};
  }
  Error Refusal() {
    const auto model = Read();
    return model ? Error{ErrorCode::kInternal, "none"} : model.error().front();
  }

  fs::path dir_;
  std::string asked_;
  std::vector<spec::InputFile> cluster_;
};

TEST_F(ModelFolderTest, ABaseLiesBesideTheAdapterOrWhereItSays) {
  WriteBase("near");
  Name("../near");
  EXPECT_EQ(Base(), dir_ / "near");
  WriteBase("specs/models/far");
  Name("models/far");
  EXPECT_EQ(Base(), dir_ / "specs/models/far");
  Name((dir_ / "near").string());
  EXPECT_EQ(Base(), dir_ / "near");
  fs::create_directory_symlink("../specs/models/far", dir_ / "adapter/base");
  EXPECT_EQ(Base(), dir_ / "adapter/base") << "the folder base/ comes first";
  EXPECT_TRUE(Read()->is_adapter);
  EXPECT_EQ(asked_, "");
}

TEST_F(ModelFolderTest, ABaseOfTheClusterIsAskedFor) {
  Name("ft:llama:local:chat:1234abcd");
  cluster_ = {{"config.json", "sha256:a", 1},
              {"model.safetensors", "sha256:b", 2},
              {"tokenizer.json", "sha256:c", 3}};
  const auto model = Read();
  ASSERT_TRUE(model.has_value());
  EXPECT_EQ(asked_, "ft:llama:local:chat:1234abcd");
  EXPECT_EQ(model->base, asked_);
  std::vector<std::string> places;
  for (const auto& one : model->of_cluster) places.push_back(one.place + " " + one.file.digest);
  EXPECT_THAT(places, ElementsAre("base/config.json sha256:a", "base/model.safetensors sha256:b",
                                  "tokenizer.json sha256:c"));
  EXPECT_EQ(model->files.size(), 2u);
  cluster_.push_back({"adapter_config.json", "sha256:d", 4});
  EXPECT_THAT(Refusal().message, HasSubstr("is an adapter itself"));
}

TEST_F(ModelFolderTest, ABaseThatIsNotFoundIsSaidWithWhereItWasLookedFor) {
  Name("models/gone");
  const Error gone = Refusal();
  EXPECT_EQ(gone.code, ErrorCode::kInvalid);
  EXPECT_THAT(gone.message,
              AllOf(HasSubstr("'models/gone'"), HasSubstr((dir_ / "adapter/base").string()),
                    HasSubstr((dir_ / "adapter/models/gone").string()),
                    HasSubstr((dir_ / "specs/models/gone").string())));
  EXPECT_THAT(gone.hint, AllOf(HasSubstr("link or copy the base's folder"),
                               HasSubstr("hf download models/gone --local-dir")));
  Name("../gone");
  EXPECT_THAT(Refusal().hint, Not(HasSubstr("hf download")));
  Write("adapter/adapter_config.json", "{}");
  EXPECT_THAT(Refusal().message, HasSubstr("no base_model_name_or_path"));
}

TEST_F(ModelFolderTest, ABaseHasToBeAWholeModel) {
  Write("near/config.json", "{}");
  Name("../near");
  EXPECT_THAT(Refusal().message, HasSubstr("no weights"));
  Write("near/adapter_config.json", "{}");
  EXPECT_THAT(Refusal().ToString(),
              AllOf(HasSubstr("is an adapter itself"), HasSubstr("tutti model merge")));
}

TEST_F(ModelFolderTest, AnAdaptersPickledWeightsAreRefusedWithTheLineThatConvertsThem) {
  fs::rename(dir_ / "adapter/adapter_model.safetensors", dir_ / "adapter/adapter_model.bin");
  EXPECT_THAT(Refusal().ToString(), AllOf(HasSubstr("pickled"), HasSubstr("save_file(")));
}

TEST_F(ModelFolderTest, AWholeModelNeedsNothingElse) {
  WriteBase("adapter");
  fs::remove(dir_ / "adapter/adapter_config.json");
  const auto model = Read();
  ASSERT_TRUE(model.has_value());
  EXPECT_FALSE(model->is_adapter);
  std::vector<std::string> places;
  for (const FolderFile& file : model->files) places.push_back(file.place);
  EXPECT_THAT(places, AllOf(Contains("config.json"), Not(Contains("train.bin"))));
}

}  // namespace
}  // namespace tutti::cli
