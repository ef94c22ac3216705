#include "jobs/cli/top_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "common/base/units.h"
#include "common/base/words.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kBarWidth = 10;
constexpr int kMachinesMax = 8;  // on a screen; the rest is counted

std::string Bar(double part, int width, bool unicode) {
  const int full = static_cast<int>(std::lround(std::clamp(part, 0.0, 1.0) * width));
  std::string bar;
  for (int i = 0; i < width; ++i) {
    bar += unicode ? (i < full ? "█" : "░") : (i < full ? "#" : ".");
  }
  return bar;
}

bool HoldsSlots(const json& job) {
  static const std::vector<std::string_view> holding = CommaWords(kHoldingStates);
  return std::find(holding.begin(), holding.end(), TextAt(job, "/state")) != holding.end();
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

std::string RoundedPercent(double part) {
  return std::to_string(static_cast<int>(std::lround(100 * part))) + "%";
}

std::string OfBytes(const json& of, const char* pointer) {
  const auto bytes = IntAt(of, pointer);
  return bytes ? FormatBytes(Bytes{*bytes}) : "";
}

std::vector<std::string> Head(const TopView& view, const TopLook& look) {
  const auto used = IntAt(view.cluster, "/slots/used").value_or(0);
  const auto total = IntAt(view.cluster, "/slots/total").value_or(0);
  std::string title = "tutti " + TextAt(view.cluster, "/version") + "  " + view.url + "  policy " +
                      TextAt(view.cluster, "/policy");
  if (At(view.cluster, "/read_only") == json(true)) title += "  READ-ONLY: its disk is full?";
  std::string slots = "slots " +
                      Bar(total > 0 ? static_cast<double>(used) / static_cast<double>(total) : 0,
                          2 * kBarWidth, look.unicode) +
                      " " + std::to_string(used) + "/" + std::to_string(total);
  std::string counts;
  for (const auto& [state, count] : At(view.cluster, "/jobs").items()) {
    if (!count.is_number_integer() || count == 0) continue;
    counts += (counts.empty() ? "" : ", ") + Dump(count) + " " + state;
  }
  std::vector<std::string> lines = {
      Painted(Fit(title, look.width), Paint::kBold, look.color),
      Fit(slots + "  jobs: " + (counts.empty() ? "none" : counts), look.width)};
  if (!view.problem.empty()) {
    lines.push_back(Painted(Fit(OneLine(view.problem), look.width), Paint::kRed, look.color));
  }
  return lines;
}

Row MachineRow(const json& worker, const TopView& view, const TopLook& look) {
  const std::string name = TextAt(worker, "/name");
  const std::string state = TextAt(worker, "/state");
  const bool drains = At(worker, "/draining") == json(true);
  const auto used = IntAt(worker, "/slots_used").value_or(0);
  const auto slots = IntAt(worker, "/slots").value_or(0);
  const double part = slots > 0 ? static_cast<double>(used) / static_cast<double>(slots) : 0;
  const auto busy = view.busy.find(name);
  std::string memory = OfBytes(worker, "/memory_bytes_used");
  const std::string of = OfBytes(worker, "/memory_bytes");
  if (!of.empty()) memory += (memory.empty() ? "? of " : " of ") + of;
  std::string jobs;
  for (const json& gang : ListAt(worker, "/gangs")) {
    jobs += (jobs.empty() ? "" : " ") + TextAt(gang, "/job");
  }
  const Paint paint = state != "up" ? Paint::kRed : drains ? Paint::kYellow : Paint::kGreen;
  return {
      OneLine(name),
      Cell(state == "up" && drains ? "drains" : state, paint),
      Bar(part, kBarWidth, look.unicode) + " " + std::to_string(used) + "/" + std::to_string(slots),
      busy == view.busy.end() ? "" : RoundedPercent(busy->second),
      memory,
      OfBytes(worker, "/disk_free_bytes"),
      jobs};
}

std::vector<std::string> Machines(const TopView& view, const TopLook& look) {
  std::vector<Row> rows;
  int left_out = 0;
  for (const json& worker : view.workers) {
    if (TextAt(worker, "/state") == "left") continue;
    if (look.height > 0 && static_cast<int>(rows.size()) >= kMachinesMax) {
      ++left_out;
      continue;
    }
    rows.push_back(MachineRow(worker, view, look));
  }
  if (rows.empty()) return {Painted("no machines: tutti doctor", Paint::kYellow, look.color)};
  auto lines = LinesOf(RenderTable({{"MACHINE", false, 8},
                                    {"STATE"},
                                    {"SLOTS"},
                                    {"CPU", true, 0, 4},
                                    {"MEMORY", true, 0, 3},
                                    {"DISK FREE", true, 0, 1},
                                    {"JOBS", false, 10, 2}},
                                   rows, look.width, look.color));
  if (left_out > 0) {
    lines.push_back(Painted("… and " + std::to_string(left_out) + " more: tutti worker list",
                            Paint::kDim, look.color));
  }
  return lines;
}

// Those that hold slots, oldest first; then the queue: who goes first, first.
std::vector<const json*> InOrder(const json& jobs) {
  std::vector<const json*> order;
  for (const json& job : jobs) order.push_back(&job);
  const auto key = [](const json* job) {
    const bool holds = HoldsSlots(*job);
    const auto ahead = IntAt(*job, "/pending/jobs_ahead");
    return std::tuple(holds   ? 0
                      : ahead ? 1
                              : 2,
                      holds ? 0 : ahead.value_or(0), IntAt(*job, "/sequence").value_or(0));
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const json* a, const json* b) { return key(a) < key(b); });
  return order;
}

// Of a job that runs the time left, else why it waits.
std::string Rest(const json& job) {
  if (const auto eta = NumberAt(job, "/progress/eta_seconds"); eta && HoldsSlots(job)) {
    return RoughDuration(*eta) + " left";
  }
  std::string rest = TextAt(job, "/reason");
  const std::string message = TextAt(job, "/message");
  if (!message.empty()) rest += (rest.empty() ? "" : ": ") + message;
  return OneLine(rest);
}

std::vector<std::string> Jobs(const TopView& view, const TopLook& look, int height) {
  const std::vector<const json*> order = InOrder(view.jobs);
  if (order.empty()) return {Painted("no jobs wait or run", Paint::kDim, look.color)};
  std::vector<Row> rows;
  for (const json* job : order) {
    const std::string state = TextAt(*job, "/state");
    const auto loss = NumberAt(*job, "/progress/loss");
    const auto speed = NumberAt(*job, "/progress/tokens_per_second");
    rows.push_back({TextAt(*job, "/id"), OneLine(TextAt(*job, "/name")),
                    OneLine(TextAt(*job, "/user")), Cell(state, PaintOfState(state)),
                    RanksText(*job), StepsText(*job), loss ? Number(*loss) : "",
                    speed && HoldsSlots(*job) ? Count(std::llround(*speed)) : "",
                    Age(TextAt(*job, "/since"), view.now), Rest(*job)});
  }
  // All of them decide the columns' widths: scrolling moves no column.
  const auto lines = LinesOf(RenderTable({{"JOB"},
                                          {"NAME", false, 10},
                                          {"USER", false, 6, 1},
                                          {"STATE"},
                                          {"RANKS", true, 0, 4},
                                          {"STEPS", true, 0, 7},
                                          {"LOSS", true, 0, 6},
                                          {"TOKENS/S", true, 0, 2},
                                          {"FOR", true, 0, 3},
                                          {"", false, 12, 5}},
                                         rows, look.width, look.color));
  std::vector<std::string> shown = {lines.front()};
  const int scroll = std::clamp(look.scroll, 0, static_cast<int>(rows.size()));
  shown.insert(shown.end(), lines.begin() + 1 + scroll, lines.end());
  if (look.height > 0 && static_cast<int>(shown.size()) > height) {
    const std::size_t kept = static_cast<std::size_t>(std::max(height - 1, 1));
    const std::size_t below = shown.size() - kept;
    shown.resize(kept);
    shown.push_back(Painted(Fit("… " + std::to_string(below) + " more below (j, k)", look.width),
                            Paint::kDim, look.color));
  }
  return shown;
}

std::vector<std::string> Above(const TopView& view, const TopLook& look) {
  std::vector<std::string> lines = Head(view, look);
  lines.emplace_back();
  for (std::string& line : Machines(view, look)) lines.push_back(std::move(line));
  lines.emplace_back();
  return lines;
}

}  // namespace

std::vector<std::string> RenderTop(const TopView& view, const TopLook& look) {
  std::vector<std::string> lines = Above(view, look);
  const int room = std::max(look.height - static_cast<int>(lines.size()), 0);
  for (std::string& line : Jobs(view, look, room)) lines.push_back(std::move(line));
  if (look.height > 0 && static_cast<int>(lines.size()) > look.height) {
    lines.resize(static_cast<std::size_t>(look.height));
  }
  return lines;
}

int ScrollMax(const TopView& view, const TopLook& look) {
  const int jobs = static_cast<int>(view.jobs.size());
  const int room = look.height - static_cast<int>(Above(view, look).size()) - 1;  // the titles
  return look.height > 0 ? std::max(jobs - std::max(room, 1), 0) : 0;
}

std::map<std::string, double> BusyBetween(const json& before, const json& now, double seconds) {
  std::map<std::string, double> busy;
  if (seconds <= 0) return busy;
  for (const json& worker : now) {
    const std::string id = TextAt(worker, "/id");
    const auto same = std::find_if(before.begin(), before.end(),
                                   [&](const json& other) { return TextAt(other, "/id") == id; });
    if (same == before.end()) continue;
    const auto then = NumberAt(*same, "/cpu_seconds");
    const auto later = NumberAt(worker, "/cpu_seconds");
    const auto cores = NumberAt(worker, "/cores");
    if (!then || !later || !cores || *cores <= 0 || *later < *then) continue;
    busy[TextAt(worker, "/name")] = std::min((*later - *then) / seconds / *cores, 1.0);
  }
  return busy;
}

}  // namespace tutti::cli
