// Small tables of comma-separated values with a header line, as traces are recorded in. Values; no
// threads.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::simulate {

class Csv {
 public:
  // The whole file. kNotFound, kIo, or kInvalid with file and line.
  static Result<Csv> Read(const std::filesystem::path& path);

  std::size_t rows() const { return rows_.size(); }
  // kInvalid when there is no such column.
  Result<std::vector<std::string>> Texts(std::string_view column) const;
  // kInvalid with file, line and column when a value is no finite number.
  Result<std::vector<double>> Numbers(std::string_view column) const;

 private:
  Result<std::size_t> ColumnOf(std::string_view name) const;

  std::string path_;
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tutti::simulate
