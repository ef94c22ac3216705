#include "worker/checkpoint/state_hash.h"

#include <bit>
#include <cstdio>

namespace tutti::checkpoint {

StateHash::StateHash() { hash_.Update("tutti state 1\n"); }

void StateHash::Tensor(Kind kind, const std::string& name, const std::vector<std::int64_t>& shape) {
  std::string line(GroupOf(kind));
  line += '/' + name;
  for (const std::int64_t dimension : shape) line += ' ' + std::to_string(dimension);
  line += '\n';
  hash_.Update(line);
}

Digest StateHash::Finish(const Cursor& cursor) {
  char best[20];
  std::snprintf(best, sizeof best, "%016llx",
                static_cast<unsigned long long>(std::bit_cast<std::uint64_t>(cursor.best_metric)));
  std::string line = "cursor";
  for (const CursorField& field : kCursorFields) {
    line += ' ' + std::to_string(cursor.*field.member);
  }
  line += ' ' + std::string(best) + '\n';
  hash_.Update(line);
  return hash_.Finish();
}

}  // namespace tutti::checkpoint
