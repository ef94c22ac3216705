#include "jobs/spec/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "jobs/spec/name.h"
#include "jobs/spec/names.h"
#include "jobs/spec/schedule_rules.h"
#include "jobs/spec/suggest.h"
#include "jobs/spec/utf8.h"

namespace tutti::spec {
namespace {

constexpr std::string_view kNameRule = "1-63 of A-Z a-z 0-9 . _ -, starting with a letter or digit";

// "my job!" -> "my-job"; empty when nothing is left.
std::string NameMeant(std::string_view text) {
  std::string name;
  for (const char c : text.substr(0, kNameMax)) {
    if (IsNameCharacter(c)) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  while (!name.empty() && !IsAlphanumeric(name.front())) name.erase(0, 1);
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

class Rules {
 public:
  Rules(const Draft& draft, Problems& problems) : d_(draft), problems_(problems) {}

  void Names() {
    Name("name", d_.job.name);
    Name("schedule.queue", d_.job.schedule.queue);
    if (d_.job.schedule.topology) Name("schedule.topology", *d_.job.schedule.topology);
    for (const auto& [label, value] : d_.job.schedule.labels) {
      const std::string path = fmt::format("schedule.labels.{}", label);
      if (!IsName(label)) {
        Add(path, fmt::format("a label's name must be {}, not {}", kNameRule, Quoted(label)));
      }
      if (value.empty()) Add(path, fmt::format("{} is empty", path));
    }
    for (const auto& [key, value] : d_.job.metadata) {
      const std::string path = fmt::format("metadata.{}", key);
      const std::size_t length = CountCharacters(key);
      if (length < 1 || length > 64) {
        Add(path, fmt::format("a key of metadata has 1 to 64 characters, not {}", length));
      }
      if (const std::size_t size = CountCharacters(value); size > 512) {
        Add(path, fmt::format("{} has {} characters; at most 512", path, size));
      }
    }
    if (d_.job.publish_app) App(*d_.job.publish_app);
  }

  void Paths() {
    NotEmpty("model", d_.job.model);
    NotEmpty("data.train", d_.job.data.train);
    File("data.train", d_.job.data.train);
    if (d_.job.data.eval) {
      NotEmpty("data.eval", *d_.job.data.eval);
      File("data.eval", *d_.job.data.eval);
    }
    if (d_.job.resume_from) NotEmpty("resume_from", *d_.job.resume_from);
  }

  void Data() {
    if (!d_.AreSound({"task"}) || !d_.Has("task")) return;
    const Task task = d_.job.task;
    const std::string_view name = ToString(task);
    const auto formats = FormatNamesOf(task);
    const std::string_view format = ToString(d_.job.data.format);
    if (d_.AreSound({"data.format"}) && std::ranges::find(formats, format) == formats.end()) {
      Add("data.format", fmt::format("data.format {} is none of {}", format, name),
          fmt::format("one of {}", fmt::join(formats, ", ")));
    }
    for (const auto& [role, column] : d_.job.data.columns) {
      const std::string path = fmt::format("data.columns.{}", role);
      const auto roles = ColumnRoles(task);
      if (std::ranges::find(roles, role) == roles.end()) {
        if (problems_.enough()) break;
        Add(path, fmt::format("{} has no column {}", name, Quoted(role)), Suggestion(role, roles));
      } else if (column.empty()) {
        Add(path, fmt::format("{} is empty", path), "name a column of the file");
      }
    }
    const bool has_source = task == Task::kTranslation || task == Task::kSummarization;
    if (!d_.job.data.source_prefix.empty() && !has_source) {
      Add("data.source_prefix", fmt::format("data.source_prefix means nothing to {}", name),
          "it is for translation and summarization");
    }
    if (d_.job.data.train_on_inputs && task != Task::kTextGeneration) {
      Add("data.train_on_inputs", fmt::format("data.train_on_inputs means nothing to {}", name),
          "it is for text-generation with prompts");
    }
    ChatTemplate(task);
    const bool is_dpo = std::holds_alternative<DpoSpec>(d_.job.method);
    const bool is_preference = d_.job.data.format == DataFormat::kPreference;
    if (!d_.AreSound({"method", "data.format"})) return;
    if (is_dpo && task != Task::kTextGeneration) {
      Add("method", fmt::format("method dpo cannot train {}", name), "it is for text-generation");
    } else if (is_dpo && !is_preference && d_.job.data.format != DataFormat::kAuto) {
      Add("data.format", "method dpo needs rows of format preference",
          "write format: preference, or leave it out");
    } else if (is_preference && !is_dpo) {
      Add("data.format", "rows of format preference need method dpo", "write method: {dpo: {}}");
    }
  }

  // What TRL's DPOTrainer would ignore, or does not have.
  void Preference() {
    if (!d_.AreSound({"method"})) return;
    const auto* dpo = std::get_if<DpoSpec>(&d_.job.method);
    if (dpo == nullptr) return;
    const auto refuse = [this](bool given, std::string_view path, std::string hint) {
      if (!given || !d_.AreSound({path})) return;
      Add(path, fmt::format("method dpo has no {}", path), std::move(hint));
    };
    refuse(d_.job.data.packing, "data.packing",
           "leave it out: the two answers of a preference share a row anyway");
    refuse(d_.job.data.train_on_inputs, "data.train_on_inputs",
           "leave it out: answers are compared, not prompts");
    refuse(d_.job.training.label_smoothing_factor > 0, "training.label_smoothing_factor",
           "write method: {dpo: {loss_type: sigmoid_smoothed, label_smoothing: …}}");
    refuse(d_.job.resume_from.has_value() && dpo->lora.has_value(), "resume_from",
           "with an adapter, write what to start from as model: it is what answers are compared "
           "with, too");
    constexpr std::string_view kSmoothing = "method.dpo.label_smoothing";
    const bool smooths = dpo->loss_type == "robust" || dpo->loss_type == "sigmoid_smoothed";
    if (dpo->label_smoothing > 0 && !smooths && d_.AreSound({kSmoothing, "method.dpo.loss_type"})) {
      Add(kSmoothing, fmt::format("loss_type {} takes no label_smoothing", dpo->loss_type),
          "write loss_type: sigmoid_smoothed or robust");
    }
  }

  void Samples() {
    constexpr std::string_view kPath = "evaluation.samples";
    if (d_.job.evaluation.samples.value_or(0) == 0 || !d_.AreSound({kPath, "task"})) return;
    if (d_.job.task == Task::kTextGeneration) return;
    Add(kPath, fmt::format("{} is not of {}", kPath, ToString(d_.job.task)),
        "it is for text-generation: leave it out");
  }

  void Eval() {
    if (!d_.AreSound({"data", "data.eval"})) return;
    if (d_.job.data.eval || d_.job.data.eval_fraction) return;
    const TrainingSpec& training = d_.job.training;
    const auto need = [this](bool is_set, std::string_view path) {
      if (!is_set || !d_.AreSound({path})) return;
      Add(path, fmt::format("{} needs data.eval", path),
          "name a file, or a fraction like 0.05 of the training rows");
    };
    need(training.load_best_model_at_end, "training.load_best_model_at_end");
    need(training.early_stopping_patience > 0, "training.early_stopping_patience");
    need(training.eval_steps.has_value(), "training.eval_steps");
    need(d_.job.evaluation.samples.value_or(0) > 0, "evaluation.samples");
  }

  void Metric() {
    constexpr std::string_view kPath = "training.metric_for_best_model";
    const auto& metric = d_.job.training.metric_for_best_model;
    if (metric && d_.AreSound({kPath})) OneOfTheMetrics(kPath, *metric);
    if (d_.sweep && d_.sweep->metric) OneOfTheMetrics("sweep", *d_.sweep->metric);
  }

  void Sweep() {
    if (!d_.sweep || !d_.AreSound({"sweep", "data", "data.eval"})) return;
    const SweepSpec& sweep = *d_.sweep;
    const bool evaluates = d_.job.data.eval || d_.job.data.eval_fraction;
    if (!evaluates && (sweep.metric || sweep.method == SweepMethod::kAsha)) {
      Add("sweep", "a sweep compares trials by an evaluation: it needs data.eval",
          "name a file, or a fraction like 0.05 of the training rows");
    }
    if (sweep.method == SweepMethod::kRandom && !sweep.max_trials) {
      Add("sweep", "sweep.method random draws max_trials of the combinations: it needs max_trials",
          "write max_trials: 8");
    }
  }

  void Dependencies() {
    constexpr std::string_view kPath = "schedule.depends_on";
    constexpr std::size_t kMost = 100;
    const auto& names = d_.job.schedule.depends_on;
    if (!d_.AreSound({kPath})) return;
    if (names.size() > kMost) {
      Add(kPath, fmt::format("{} names at most {} jobs, not {}", kPath, kMost, names.size()));
    } else if (std::ranges::any_of(names, [](const auto& name) { return name.empty(); })) {
      Add(kPath, fmt::format("{} names jobs by id or name, not by an empty text", kPath));
    }
  }

  void Ranks() {
    const ResourcesSpec& resources = d_.job.resources;
    const std::int64_t shards = d_.job.training.shards;
    const Place min = d_.Where("resources.ranks.min");
    const bool is_one = min.where == d_.Where("resources.ranks.max").where;
    bool good = d_.AreSound({"resources.ranks.min", "resources.ranks.max"});
    if (good && is_one) {
      good = PowerOfTwo("resources.ranks", resources.ranks_max);
    } else if (good) {
      good = PowerOfTwo("resources.ranks.min", resources.ranks_min);
      good = PowerOfTwo("resources.ranks.max", resources.ranks_max) && good;
    }
    if (good && resources.ranks_min > resources.ranks_max) {
      Add("resources.ranks.min",
          fmt::format("resources.ranks.min {} is above resources.ranks.max {}", resources.ranks_min,
                      resources.ranks_max));
    }
    if (!d_.AreSound({"training.shards"}) || !d_.Has("training.shards")) return;
    if (PowerOfTwo("training.shards", shards) && good && shards < resources.ranks_max) {
      Add("training.shards",
          fmt::format("training.shards must be at least resources.ranks.max {}, not {}",
                      resources.ranks_max, shards),
          fmt::format("write {}, or leave it out", resources.ranks_max));
    }
  }

  void Batch() {
    constexpr std::string_view kPath = "training.global_batch_size";
    if (!d_.AreSound({kPath, "training.shards", "training.micro_batch_size", "resources.ranks.min",
                      "resources.ranks.max"})) {
      return;
    }
    const TrainingSpec& training = d_.job.training;
    if (!std::has_single_bit(static_cast<std::uint64_t>(training.shards))) return;  // said already
    const std::int64_t global = training.global_batch_size;
    const std::int64_t unit = training.shards * training.micro_batch_size;
    if (global % unit == 0) return;
    const std::int64_t below = global / unit * unit;
    std::string hint = below > 0
                           ? fmt::format("the nearest that fit are {} and {}", below, below + unit)
                           : fmt::format("the nearest that fits is {}", unit);
    if (global % training.shards == 0 && !d_.Has("training.micro_batch_size")) {
      std::int64_t micro = std::min(training.micro_batch_size, global / training.shards);
      while (global / training.shards % micro != 0) --micro;
      hint += fmt::format("; or write micro_batch_size: {}", micro);
    }
    const bool is_written = d_.Has(kPath);
    Add(is_written ? kPath : std::string_view("training.per_device_train_batch_size"),
        fmt::format("{} must be shards {} × micro_batch_size {} = {} × a whole number, not {}",
                    kPath, training.shards, training.micro_batch_size, unit, global),
        std::move(hint));
  }

  void Schedule() {
    if (!d_.AreSound({"training.lr_scheduler_type", "training.lr_scheduler_kwargs"})) return;
    CheckScheduleKwargs(d_, problems_);
  }

 private:
  void Add(std::string_view path, std::string message, std::string hint = {}) {
    problems_.Invalid(std::move(message), d_.Where(path), std::move(hint));
  }

  void Name(std::string_view path, std::string_view text) {
    if (!d_.Has(path) || IsName(text)) return;
    const std::string meant = NameMeant(text);
    Add(path, fmt::format("{} must be {}, not {}", path, kNameRule, Quoted(text)),
        meant.empty() ? meant : fmt::format("write {}", meant));
  }

  void App(std::string_view app) {
    const std::size_t slash = app.find('/');
    if (slash != std::string_view::npos && IsName(app.substr(0, slash)) &&
        IsName(app.substr(slash + 1))) {
      return;
    }
    Add("publish.app", fmt::format("publish.app must be OWNER/NAME, not {}", Quoted(app)));
  }

  void NotEmpty(std::string_view path, std::string_view text) {
    if (d_.Has(path) && text.empty()) Add(path, fmt::format("{} is empty", path));
  }

  void File(std::string_view path, std::string_view text) {
    const std::size_t scheme = text.find("://");
    if (text.starts_with("file:///") && text.size() > 8) return;
    if (text.starts_with("file:")) {
      Add(path,
          fmt::format("{} must be file:/// and an absolute path, not {}", path, Quoted(text)));
    } else if (scheme != std::string_view::npos &&
               std::ranges::all_of(text.substr(0, scheme), IsAlphanumeric)) {
      Add(path, fmt::format("{} must be a path or file:///…, not {}", path, Quoted(text)),
          "download it and name the file");
    }
  }

  void ChatTemplate(Task task) {
    constexpr std::string_view kPath = "data.chat_template";
    if (!d_.job.data.chat_template || !d_.AreSound({kPath})) return;
    const std::string& name = *d_.job.data.chat_template;
    const auto names = ChatTemplateNames();
    if (task != Task::kTextGeneration) {
      Add(kPath, fmt::format("{} means nothing to {}", kPath, ToString(task)),
          "it is for text-generation on conversations");
    } else if (std::ranges::find(names, name) == names.end()) {
      const std::string meant = Suggestion(name, names);
      Add(kPath, fmt::format("there is no built-in chat template {}", Quoted(name)),
          meant.empty() ? fmt::format("one of {}", fmt::join(names, ", ")) : meant);
    }
  }

  bool PowerOfTwo(std::string_view path, std::int64_t value) {
    if (std::has_single_bit(static_cast<std::uint64_t>(value))) return true;
    const auto below = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(value)));
    Add(path, fmt::format("{} must be a power of two, not {}", path, value),
        fmt::format("write {} or {}", below, 2 * below));
    return false;
  }

  void OneOfTheMetrics(std::string_view path, std::string_view metric) {
    if (!d_.AreSound({"task", "method"}) || !d_.Has("task")) return;
    const auto metrics = MetricsOf(d_.job.task, d_.job.method);
    if (std::ranges::find(metrics, metric) != metrics.end()) return;
    const std::string_view bare = metric.starts_with("eval_") ? metric.substr(5) : metric;
    Add(path, fmt::format("{} has no metric {}", ToString(d_.job.task), Quoted(metric)),
        Suggestion(bare, metrics));
  }

  const Draft& d_;
  Problems& problems_;
};

}  // namespace

void Validate(const Draft& draft, Problems& problems) {
  Rules rules(draft, problems);
  rules.Names();
  rules.Paths();
  rules.Data();
  rules.Preference();
  rules.Samples();
  rules.Eval();
  rules.Metric();
  rules.Ranks();
  rules.Batch();
  rules.Schedule();
  rules.Dependencies();
  rules.Sweep();
}

}  // namespace tutti::spec
