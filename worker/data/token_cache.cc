#include "worker/data/token_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "common/file/file.h"

namespace tutti::data {
namespace {

// Raised with the layout below, with the reader, and with the tokenizers crate.
constexpr std::uint32_t kCacheVersion = 5;
constexpr std::array<char, 8> kMagic = {'t', 'u', 't', 't', 'i', 't', 'o', 'k'};

// The file: this, offsets, ids, weights, label indices, label texts (each ended by '\0'), the
// SHA-256 of all that. Numbers as this machine has them.
struct Head {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kCacheVersion;
  std::uint32_t integers = 0;
  std::array<std::uint8_t, 32> key{};
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::int64_t weights = 0;  // as many as tokens, or none
  std::int64_t cut_rows = 0;
  std::int64_t labels = 0;
  std::int64_t label_bytes = 0;
};
static_assert(sizeof(Head) == 96);

std::filesystem::path PathOf(const std::filesystem::path& cache_dir, const Digest& key) {
  return cache_dir / (key.ToHex() + ".tokens");
}

template <typename T>
std::span<const std::byte> BytesOf(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

class HashingReader {
 public:
  explicit HashingReader(int fd) : fd_(fd) {}

  bool Take(std::span<std::byte> out) {
    for (std::span<std::byte> left = out; !left.empty();) {
      const ssize_t count = ::read(fd_, left.data(), left.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      left = left.subspan(static_cast<std::size_t>(count));
    }
    hash_.Update(out);
    return true;
  }
  template <typename T>
  bool TakeInto(std::vector<T>& values, std::int64_t count) {
    values.resize(static_cast<std::size_t>(count));
    return Take(std::as_writable_bytes(std::span(values)));
  }
  Digest Finish() { return hash_.Finish(); }

 private:
  int fd_;
  Sha256 hash_;
};

// Counts add up to the file's size, so that nothing is allocated that the file does not have.
bool FitsFile(const Head& head, std::int64_t file_size) {
  if (head.magic != kMagic || head.version != kCacheVersion) return false;
  std::int64_t left = file_size - static_cast<std::int64_t>(sizeof(Head) + sizeof(Digest::bytes));
  const auto take = [&](std::int64_t count, std::int64_t each) {
    const bool fits = count >= 0 && left >= 0 && count <= left / each;
    left -= fits ? count * each : 0;
    return fits;
  };
  return take(head.rows, 12) && take(1, 8) && take(head.tokens, 4) && take(head.weights, 4) &&
         take(head.label_bytes, 1) && head.labels >= 0 && left == 0;
}

bool SplitTexts(std::string_view bytes, std::int64_t count, std::vector<std::string>& texts) {
  for (; !bytes.empty(); --count) {
    const std::size_t end = bytes.find('\0');
    if (end == std::string_view::npos || count == 0) return false;
    texts.emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(end + 1);
  }
  return count == 0;
}

}  // namespace

Digest KeyOf(const TokenSource& source) {
  std::string text = "tutti tokens " + std::to_string(kCacheVersion) + "\n";
  text += source.data.ToString() + "\n" + source.tokenizer.ToString() + "\n";
  text += std::to_string(static_cast<int>(source.kind.format)) + (source.kind.gzip ? " gz " : " ");
  text += std::to_string(source.max_length) + (source.require_labels ? " labels" : "");
  text += " " + std::string(ToString(source.format)) + (source.train_on_inputs ? " inputs" : "");
  text += " " + (source.end_token ? std::to_string(*source.end_token) : "none");
  for (const std::string& column : {source.columns.text, source.columns.label}) {
    text += "\n" + std::to_string(column.size()) + " " + column;
  }
  if (IsStructured(source.format)) {
    for (const auto& [role, column] : source.columns.by_role) {
      text += "\n" + role + " " + std::to_string(column.size()) + " " + column;
    }
  }
  if (!source.chat.empty()) text += "\n" + Sha256Of(source.chat).ToString();
  return Sha256Of(text);
}

std::optional<DatasetParts> ReadTokens(const std::filesystem::path& cache_dir, const Digest& key) {
  const UniqueFd fd(::open(PathOf(cache_dir, key).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return std::nullopt;
  HashingReader reader(fd.get());
  Head head;
  if (!reader.Take(std::as_writable_bytes(std::span(&head, 1)))) return std::nullopt;
  if (head.key != key.bytes || !FitsFile(head, status.st_size)) return std::nullopt;
  DatasetParts parts{.integers = head.integers != 0, .cut_rows = head.cut_rows};
  std::vector<char> texts;
  if (!reader.TakeInto(parts.offsets, head.rows + 1) || !reader.TakeInto(parts.ids, head.tokens) ||
      !reader.TakeInto(parts.weights, head.weights) ||
      !reader.TakeInto(parts.label_index, head.rows) || !reader.TakeInto(texts, head.label_bytes)) {
    return std::nullopt;
  }
  const Digest computed = reader.Finish();
  Digest stored;
  HashingReader rest(fd.get());
  if (!rest.Take(std::as_writable_bytes(std::span(stored.bytes))) || stored != computed ||
      !SplitTexts({texts.data(), texts.size()}, head.labels, parts.label_texts)) {
    return std::nullopt;
  }
  ::futimens(fd.get(), nullptr);  // used now: what was used longest ago is evicted first
  return parts;
}

Status WriteTokens(const std::filesystem::path& cache_dir, const Digest& key,
                   const DatasetParts& parts) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(cache_dir));
  std::string texts;
  for (const std::string& text : parts.label_texts) texts.append(text.c_str(), text.size() + 1);
  const Head head{.integers = parts.integers ? 1U : 0U,
                  .key = key.bytes,
                  .rows = static_cast<std::int64_t>(parts.offsets.size()) - 1,
                  .tokens = static_cast<std::int64_t>(parts.ids.size()),
                  .weights = static_cast<std::int64_t>(parts.weights.size()),
                  .cut_rows = parts.cut_rows,
                  .labels = static_cast<std::int64_t>(parts.label_texts.size()),
                  .label_bytes = static_cast<std::int64_t>(texts.size())};
  const std::filesystem::path path = PathOf(cache_dir, key);
  const std::string temporary = path.string() + ".tmp-" + std::to_string(::getpid());
  const auto write = [&]() -> Status {
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return Fail(ErrnoError("cannot create", temporary, errno));
    Sha256 hash;
    for (const auto part :
         {std::as_bytes(std::span(&head, 1)), BytesOf(parts.offsets), BytesOf(parts.ids),
          BytesOf(parts.weights), BytesOf(parts.label_index), std::as_bytes(std::span(texts))}) {
      hash.Update(part);
      TUTTI_RETURN_IF_ERROR(WriteAll(fd.get(), part, temporary));
    }
    const Digest digest = hash.Finish();
    TUTTI_RETURN_IF_ERROR(WriteAll(fd.get(), std::as_bytes(std::span(digest.bytes)), temporary));
    if (::rename(temporary.c_str(), path.c_str()) == 0) return {};
    return Fail(ErrnoError("cannot rename into place", path.string(), errno));
  };
  Status status = write();
  if (!status) ::unlink(temporary.c_str());
  return status;
}

}  // namespace tutti::data
