#include "worker/train/preference.h"

#include <algorithm>
#include <string>
#include <vector>

#include "jobs/spec/names.h"
#include "worker/parity/folders.h"
#include "worker/train/loss.h"

namespace tutti::parity {
namespace {

constexpr Tolerance kGradients{.absolute = 1e-5, .relative = 1e-4};
constexpr Tolerance kLogProbabilities{.absolute = 1e-5, .relative = 1e-5};

// All chosen answers, then all rejected ones.
struct Answers {
  std::vector<double> own, reference, tokens;

  std::size_t pairs() const { return own.size() / 2; }
  train::AnswerScore At(std::size_t index) const {
    return {.log_probability = own[index], .reference = reference[index], .tokens = tokens[index]};
  }
};

// A case that begins with logits.
struct PairLogits {
  std::vector<float> logits, reference, weights;  // [2N, T, V], the last [2N, T]
  std::vector<std::int64_t> targets;              // [2N, T] what a position predicts
  std::size_t T = 0, V = 0;

  train::Logits RowOf(std::span<const float> all, std::size_t row) const {
    return {.values = all.subspan(row * T * V, T * V), .columns = static_cast<std::int64_t>(V)};
  }
  // Σ −log p over the answer in `row`.
  double LossOf(const train::Logits& of, std::size_t row) const {
    return train::CrossEntropySum(of, std::span(targets).subspan(row * T, T),
                                  {.weights = std::span(weights).subspan(row * T, T)});
  }
};

Result<PairLogits> ReadPairs(const safetensors::File& file, const std::string& name) {
  PairLogits in;
  TUTTI_ASSIGN_OR_RETURN(const safetensors::Tensor logits, file.Find(name + ".logits"));
  in.T = static_cast<std::size_t>(logits.shape[1]);
  in.V = static_cast<std::size_t>(logits.shape[2]);
  TUTTI_ASSIGN_OR_RETURN(in.logits, Floats(file, name + ".logits"));
  TUTTI_ASSIGN_OR_RETURN(in.reference, Floats(file, name + ".reference_logits"));
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::int64_t> ids, Integers(file, name + ".input_ids"));
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::int64_t> mask,
                         Integers(file, name + ".completion_mask"));
  in.targets.assign(ids.size(), model::kIgnoreLabel);
  in.weights.assign(ids.size(), 0);
  for (std::size_t at = 0; at + 1 < ids.size(); ++at) {
    if ((at + 1) % in.T == 0 || mask[at + 1] == 0) continue;
    in.targets[at] = ids[at + 1];
    in.weights[at] = 1;
  }
  return in;
}

Answers AnswersOf(const PairLogits& in) {
  Answers answers;
  for (std::size_t row = 0; row < in.targets.size() / in.T; ++row) {
    answers.own.push_back(-in.LossOf(in.RowOf(in.logits, row), row));
    answers.reference.push_back(-in.LossOf(in.RowOf(in.reference, row), row));
    const auto weights = std::span(in.weights).subspan(row * in.T, in.T);
    answers.tokens.push_back(static_cast<double>(std::ranges::count(weights, 1.0F)));
  }
  return answers;
}

// The mean loss, its derivatives by the log-probabilities, and the rewards.
struct Losses {
  double mean = 0;
  std::vector<double> slopes;  // [2N]
  std::vector<double> chosen, rejected;
};

Losses LossesOf(const train::PreferenceOptions& options, const Answers& answers) {
  const std::size_t N = answers.pairs();
  const double each = 1 / static_cast<double>(N);
  Losses losses{.slopes = std::vector<double>(2 * N), .chosen = {}, .rejected = {}};
  for (std::size_t i = 0; i < N; ++i) {
    const train::PairLoss one =
        train::LossOfPair(options, {.chosen = answers.At(i), .rejected = answers.At(N + i)});
    losses.mean += one.loss * each;
    losses.slopes[i] = one.by_chosen * each;
    losses.slopes[N + i] = one.by_rejected * each;
    losses.chosen.push_back(one.chosen_reward);
    losses.rejected.push_back(one.rejected_reward);
  }
  return losses;
}

class PreferenceCase {
 public:
  PreferenceCase(const safetensors::File& file, const Json& row, Report& report)
      : file_(file), row_(row), report_(report), number_(row.at("case").dump()) {
    spec::DpoSpec dpo;
    dpo.loss_type = row.at("loss_type").get<std::string>();
    dpo.beta = row.at("beta").get<double>();
    dpo.label_smoothing = row.at("label_smoothing").get<double>();
    options_ = train::PreferenceOf(dpo);
  }

  Status Run() { return file_.Contains(number_ + ".logits") ? OfLogits() : OfLogProbabilities(); }

 private:
  std::string Name(const std::string& what) const { return "dpo:" + number_ + ":" + what; }

  void Compare(const std::string& what, std::span<const double> got) {
    const auto want = row_.at(what).get<std::vector<double>>();
    report_.Compare(Name(what), got, want, kLogProbabilities);
  }

  void CompareLoss(const Losses& losses) {
    const std::vector<double> got = {losses.mean}, want = {row_.at("loss").get<double>()};
    report_.Compare(Name("loss"), got, want, LossTolerance(want.front()));
  }

  Status OfLogits() {
    TUTTI_ASSIGN_OR_RETURN(const PairLogits in, ReadPairs(file_, number_));
    const Answers answers = AnswersOf(in);
    const Losses losses = LossesOf(options_, answers);
    const std::size_t N = answers.pairs();
    CompareLoss(losses);
    Compare("chosen_logps", std::span(answers.own).first(N));
    Compare("rejected_logps", std::span(answers.own).subspan(N));
    Compare("ref_chosen_logps", std::span(answers.reference).first(N));
    Compare("ref_rejected_logps", std::span(answers.reference).subspan(N));
    Compare("rewards_chosen", losses.chosen);
    Compare("rewards_rejected", losses.rejected);
    std::vector<float> grad(in.logits.size());
    for (std::size_t row = 0; row < 2 * N; ++row) {
      train::Logits logits = in.RowOf(in.logits, row);
      logits.grad = std::span(grad).subspan(row * in.T * in.V, in.T * in.V);
      logits.scale = -losses.slopes[row];
      in.LossOf(logits, row);
    }
    TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(file_, number_ + ".grad"));
    report_.Compare(Name("grad"), grad, want, kGradients);
    return {};
  }

  Status OfLogProbabilities() {
    const auto read = [this](const std::string& name) -> Result<std::vector<double>> {
      TUTTI_ASSIGN_OR_RETURN(const std::vector<float> values, Floats(file_, number_ + name));
      return std::vector<double>(values.begin(), values.end());
    };
    Answers answers;
    TUTTI_ASSIGN_OR_RETURN(answers.own, read(".logps"));
    TUTTI_ASSIGN_OR_RETURN(answers.reference, read(".reference_logps"));
    answers.tokens.assign(answers.own.size(), 1);
    const Losses losses = LossesOf(options_, answers);
    CompareLoss(losses);
    TUTTI_ASSIGN_OR_RETURN(const std::vector<double> want, read(".grad"));
    report_.Compare(Name("grad"), losses.slopes, want, kGradients);
    return {};
  }

  const safetensors::File& file_;
  const Json& row_;
  Report& report_;
  std::string number_;
  train::PreferenceOptions options_;
};

}  // namespace

Status RunPreferences(const std::filesystem::path& folder, const Json& cases, Report& report) {
  TUTTI_ASSIGN_OR_RETURN(const safetensors::File file,
                         safetensors::File::Open(folder / "expected.safetensors"));
  for (const Json& row : cases.at("cases")) {
    const auto names = spec::DpoLossNames();
    const auto loss = row.at("loss_type").get<std::string>();
    if (std::ranges::find(names, loss) == names.end()) {
      report.Case(false, "dpo:" + row.at("case").dump(), "loss " + loss + " is not supported yet");
      continue;
    }
    TUTTI_RETURN_IF_ERROR(PreferenceCase(file, row, report).Run());
  }
  return {};
}

}  // namespace tutti::parity
