// What `tutti export` writes, file by file; the real libraries read it in
// tests/system/exports_test.py.
#include <gmock/gmock.h>

#include <fstream>

#include "common/file/file.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/mlruns.h"
#include "monitoring/tensorboard/event.h"
#include "monitoring/tensorboard/record.h"
#include "with_server.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class Export : public WithServer {
 protected:
  Export() {
    routes_["GET /api/v1/jobs/tune"] = [this](const Seen&) {
      return FakeServer::Json(job_.dump());
    };
    routes_["GET /api/v1/jobs/j-0k3v9x2m/spec"] = [](const Seen&) {
      return FakeServer::Json(json{{"name", "tune"},
                                   {"training", {{"learning_rate", 0.001}, {"max_steps", nullptr}}},
                                   {"retry", {{"on", {"crash", "hang"}}}},
                                   {"metadata", {{"../../../evil", "x"}, {"ticket", "42"}}}}
                                  .dump());
    };
    routes_["GET /api/v1/jobs/j-0k3v9x2m/metrics"] = [](const Seen&) {
      const auto point = [](int step, double value) {
        return json{{"at", "2026-02-03T04:05:06.789Z"}, {"step", step}, {"value", value}};
      };
      return FakeServer::Json(
          json{{"data",
                {{{"name", "loss"}, {"points", {point(1, 0.5), point(2, 0.1)}}},
                 {{"name", "learning_rate"}, {"points", {point(1, 1e-5), point(2, 1e-6)}}},
                 {{"name", "eval.accuracy"}, {"points", {point(2, 0.75)}}}}}}
              .dump());
    };
    routes_["GET /api/v1/models/ft%3Amodel/files/README.md"] = [](const Seen&) {
      return FakeServer::Json("# a card");
    };
  }
  std::string Text(const fs::path& path) const {
    return ReadFile(path).value_or("(no " + path.string() + ")");
  }
  std::vector<fs::path> Folders(const fs::path& in) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(in)) found.push_back(entry.path());
    return found;
  }
  fs::path Mlflow(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"export", "mlflow", "tune", (dir_ / "mlruns").string()};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = Run(words);
    EXPECT_EQ(ran.exit, kOk) << ran.err;
    return ran.out.substr(0, ran.out.find('\n'));
  }

  json job_ = {{"id", "j-0k3v9x2m"},
               {"name", "tune"},
               {"state", "succeeded"},
               {"user", "ana"},
               {"attempt", 2},
               {"submitted_at", "2026-02-03T04:00:00.000Z"},
               {"since", "2026-02-03T04:10:00.000Z"},
               {"attempts", {{{"started_at", "2026-02-03T04:01:00.000Z"}}}},
               {"progress", {{"step", 2}}},
               {"result", {{"model", "ft:model"}, {"metrics", {{"accuracy", 0.75}}}}}};
};

TEST_F(Export, MlflowGetsParametersMetricsTagsAndCard) {
  const fs::path run = Mlflow();
  EXPECT_EQ(Text(run / "params/training.learning_rate"), "0.001");
  EXPECT_EQ(Text(run / "params/retry.on"), R"(["crash","hang"])");
  EXPECT_FALSE(fs::exists(run / "params/training.max_steps"));
  EXPECT_EQ(Text(run / "metrics/loss"), "1770091506789 0.5 1\n1770091506789 0.1 2\n");
  EXPECT_EQ(Text(run / "metrics/learning_rate"), "1770091506789 1e-05 1\n1770091506789 1e-06 2\n");
  EXPECT_EQ(Text(run / "metrics/eval_accuracy"), "1770091506789 0.75 2\n");
  EXPECT_EQ(Text(run / "metrics/result_accuracy"), "1770091800000 0.75 2\n");
  EXPECT_EQ(Text(run / "tags/mlflow.runName"), "tune");
  EXPECT_EQ(Text(run / "tags/tutti.attempts"), "2");
  EXPECT_EQ(Text(run / "tags/metadata.ticket"), "42");
  EXPECT_EQ(Text(run / "tags/mlflow.note.content"), "# a card");
  EXPECT_EQ(Text(run / "artifacts/README.md"), "# a card");
  EXPECT_THAT(Text(run / "artifacts/spec.json"), HasSubstr("learning_rate"));
  const std::string meta = Text(run / "meta.yaml");
  EXPECT_THAT(meta, HasSubstr("\nstatus: 3\n"));
  EXPECT_THAT(meta, HasSubstr("\nstart_time: 1770091260000\n"));
  EXPECT_THAT(meta, HasSubstr("\nend_time: 1770091800000\n"));
  EXPECT_THAT(meta, HasSubstr("\nrun_id: \"" + run.filename().string() + "\"\n"));
  EXPECT_THAT(Text(run.parent_path() / "meta.yaml"), HasSubstr("\nname: \"tutti\"\n"));
}

TEST_F(Export, NamesOfUsersStayInTheRunsFolder) {
  const fs::path run = Mlflow();
  EXPECT_EQ(Text(run / "tags/metadata..._.._.._evil"), "x");
  EXPECT_THAT(Folders(dir_), ElementsAre(dir_ / "mlruns"));
}

TEST_F(Export, AgainReplacesTheRunAndNothingElse) {
  job_["state"] = "running";
  job_["result"] = nullptr;
  const fs::path first = Mlflow();
  EXPECT_THAT(Text(first / "meta.yaml"), HasSubstr("\nend_time: null\n"));
  std::ofstream(first / "metrics/old") << "1 1 1\n";
  const fs::path other = first.parent_path() / "0123456789abcdef0123456789abcdef";
  fs::create_directories(other);
  job_["state"] = "failed";
  EXPECT_EQ(Mlflow(), first);
  EXPECT_FALSE(fs::exists(first / "metrics/old"));
  EXPECT_FALSE(fs::exists(first / "artifacts/README.md"));
  EXPECT_THAT(Text(first / "meta.yaml"), HasSubstr("\nstatus: 4\n"));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(Export, AnExperimentThatMlflowMadeIsUsed) {
  fs::create_directories(dir_ / "mlruns/359825203909151299");
  std::ofstream(dir_ / "mlruns/359825203909151299/meta.yaml")
      << "experiment_id: '359825203909151299'\nlifecycle_stage: active\nname: mine\n";
  EXPECT_EQ(Mlflow({"--experiment", "mine"}).parent_path().filename(), "359825203909151299");
  EXPECT_NE(Mlflow().parent_path().filename(), "359825203909151299");
}

TEST_F(Export, TensorboardGetsEachStepOnce) {
  const Ran ran = Run({"export", "tensorboard", "tune", (dir_ / "tb").string()});
  ASSERT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_EQ(ran.out, (dir_ / "tb/tune.j-0k3v9x2m").string() + "\n");
  const std::string bytes = Text(dir_ / "tb/tune.j-0k3v9x2m/events.out.tfevents.1770091200.tutti");
  tensorboard::RecordReader reader(bytes);
  std::vector<std::string> told;
  for (std::string_view record; reader.Next(record);) {
    const auto summary = tensorboard::SummaryOf(record);
    if (summary) told.push_back(summary->tag + "@" + std::to_string(summary->step));
  }
  EXPECT_EQ(reader.position(), bytes.size());
  EXPECT_THAT(
      told, ElementsAre("spec/text_summary@0", "train/loss@1", "train/loss@2", "eval/accuracy@2"));
}

TEST_F(Export, SaysWhatIsWrong) {
  EXPECT_EQ(Run({"export", "mlflow", "other", (dir_ / "x").string()}).exit, kNotFound);
  std::ofstream(dir_ / "file") << "";
  const Ran ran = Run({"export", "mlflow", "tune", (dir_ / "file").string()});
  EXPECT_NE(ran.exit, kOk);
  EXPECT_THAT(ran.err, HasSubstr((dir_ / "file").string()));
}

}  // namespace
}  // namespace tutti::cli
