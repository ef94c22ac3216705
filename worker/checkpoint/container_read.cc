#include <hdf5.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "worker/checkpoint/container.h"
#include "worker/checkpoint/hdf5_handle.h"

namespace tutti::checkpoint {
namespace {

constexpr std::size_t kLinksMax = 65'536;
constexpr std::size_t kTextMax = 4'096;
constexpr int kDimensionsMax = 8;

Unexpected Foreign(std::string what) {
  return Fail(ErrorCode::kInvalid, "not a checkpoint of this version: " + what);
}

// The value of a scalar attribute, converted by HDF5 to `memory_type`.
Status ReadAttribute(hid_t object, const char* name, H5T_class_t type_class, hid_t memory_type,
                     void* value) {
  const Hdf5Handle attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
  if (!attribute) return Foreign("no attribute " + std::string(name));
  const Hdf5Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const Hdf5Handle space(H5Aget_space(attribute.get()), H5Sclose);
  if (!type || !space || H5Tget_class(type.get()) != type_class ||
      H5Sget_simple_extent_type(space.get()) != H5S_SCALAR ||
      H5Aread(attribute.get(), memory_type, value) < 0) {
    return Foreign("attribute " + std::string(name) + " is of another type");
  }
  return {};
}

Result<std::int64_t> ReadWhole(hid_t object, const char* name) {
  std::int64_t value = 0;
  TUTTI_RETURN_IF_ERROR(ReadAttribute(object, name, H5T_INTEGER, H5T_NATIVE_INT64, &value));
  return value;
}

Result<double> ReadReal(hid_t object, const char* name) {
  double value = 0;
  TUTTI_RETURN_IF_ERROR(ReadAttribute(object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, &value));
  return value;
}

Result<std::string> ReadText(hid_t object, const char* name) {
  const Hdf5Handle attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
  const Hdf5Handle type(attribute ? H5Aget_type(attribute.get()) : -1, H5Tclose);
  if (!type || H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
      H5Tget_size(type.get()) > kTextMax) {
    return Foreign("no text attribute " + std::string(name));
  }
  std::string text(H5Tget_size(type.get()), '\0');
  TUTTI_RETURN_IF_ERROR(ReadAttribute(object, name, H5T_STRING, type.get(), text.data()));
  while (text.ends_with('\0')) text.pop_back();
  return text;
}

// Names of a group's links, or of an object's attributes, ascending.
template <typename Iterate>
Result<std::vector<std::string>> Names(Iterate iterate, const std::string& what) {
  std::vector<std::string> names;
  if (iterate(&names) < 0 || names.size() > kLinksMax) return Foreign("cannot list " + what);
  std::ranges::sort(names);
  return names;
}

herr_t TakeLink(hid_t, const char* name, const H5L_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

herr_t TakeAttribute(hid_t, const char* name, const H5A_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

Result<Hdf5Handle> OpenGroup(hid_t file, const std::string& name) {
  Hdf5Handle group(H5Gopen2(file, name.c_str(), H5P_DEFAULT), H5Gclose);
  if (!group) return Foreign("no group /" + name);
  return group;
}

Result<Head> ReadHead(hid_t file) {
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t version, ReadWhole(file, "format_version"));
  if (version != kFormatVersion) return Foreign("it is version " + std::to_string(version));
  Head head;
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t attempt, ReadWhole(file, "attempt"));
  if (attempt < 0 || attempt > std::int64_t{UINT32_MAX}) return Foreign("attempt out of range");
  head.attempt = static_cast<std::uint32_t>(attempt);
  TUTTI_ASSIGN_OR_RETURN(head.spec_digest, ReadText(file, "spec_digest"));
  TUTTI_ASSIGN_OR_RETURN(const Hdf5Handle cursor, OpenGroup(file, "data_cursor"));
  for (const CursorField& field : kCursorFields) {
    TUTTI_ASSIGN_OR_RETURN(head.cursor.*field.member, ReadWhole(cursor.get(), field.name));
  }
  TUTTI_ASSIGN_OR_RETURN(head.cursor.best_metric, ReadReal(cursor.get(), kBestMetric));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t step, ReadWhole(file, "step"));
  if (step != head.cursor.step) return Foreign("step and cursor differ");
  TUTTI_ASSIGN_OR_RETURN(const Hdf5Handle metrics, OpenGroup(file, "metrics"));
  const auto list = [&](void* names) {
    return H5Aiterate2(metrics.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, TakeAttribute, names);
  };
  TUTTI_ASSIGN_OR_RETURN(const auto names, Names(list, "/metrics"));
  for (const std::string& name : names) {
    TUTTI_ASSIGN_OR_RETURN(head.metrics[name], ReadReal(metrics.get(), name.c_str()));
  }
  return head;
}

Status ReadShape(hid_t dataset, Extent& extent) {
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (rank < 0 || rank > kDimensionsMax) return Foreign(extent.name + " has no plain shape");
  std::vector<hsize_t> dimensions(static_cast<std::size_t>(rank));
  if (H5Sget_simple_extent_dims(space.get(), dimensions.data(), nullptr) < 0) {
    return Foreign(extent.name + " has no plain shape");
  }
  extent.bytes = sizeof(float);
  for (const hsize_t dimension : dimensions) {
    if (dimension > hsize_t{INT64_MAX} ||
        __builtin_mul_overflow(extent.bytes, static_cast<std::int64_t>(dimension), &extent.bytes)) {
      return Foreign(extent.name + " is too large");
    }
    extent.shape.push_back(static_cast<std::int64_t>(dimension));
  }
  return {};
}

Result<Extent> ReadExtent(hid_t group, Kind kind, const std::string& name, std::int64_t file_size) {
  Extent extent{.kind = kind, .name = name, .shape = {}};
  const Hdf5Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset) return Foreign(name + " is no tensor");
  const Hdf5Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const Hdf5Handle creation(H5Dget_create_plist(dataset.get()), H5Pclose);
  if (!type || H5Tequal(type.get(), H5T_IEEE_F32LE) <= 0 || !creation ||
      H5Pget_layout(creation.get()) != H5D_CONTIGUOUS ||
      H5Pget_external_count(creation.get()) != 0) {
    return Foreign(name + " is not contiguous float32");
  }
  TUTTI_RETURN_IF_ERROR(ReadShape(dataset.get(), extent));
  if (extent.bytes == 0) return extent;
  const haddr_t address = H5Dget_offset(dataset.get());
  if (address == HADDR_UNDEF || extent.bytes > file_size ||
      address > static_cast<haddr_t>(file_size - extent.bytes)) {
    return Foreign(name + " lies outside the file");
  }
  extent.from = static_cast<std::int64_t>(address);
  return extent;
}

Result<Container> ReadFrom(hid_t file, std::int64_t file_size) {
  Container container;
  TUTTI_ASSIGN_OR_RETURN(container.head, ReadHead(file));
  for (const Kind kind : kKinds) {
    const std::string group_name(GroupOf(kind));
    TUTTI_ASSIGN_OR_RETURN(const Hdf5Handle group, OpenGroup(file, group_name));
    const auto list = [&](void* names) {
      return H5Literate(group.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, TakeLink, names);
    };
    TUTTI_ASSIGN_OR_RETURN(const auto names, Names(list, "/" + group_name));
    for (const std::string& name : names) {
      TUTTI_ASSIGN_OR_RETURN(Extent extent, ReadExtent(group.get(), kind, name, file_size));
      container.extents.push_back(std::move(extent));
    }
  }
  return container;
}

}  // namespace

Result<Container> ReadContainer(const std::filesystem::path& path) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  std::error_code error;
  const auto file_size = std::filesystem::file_size(path, error);
  if (error) return Fail(ErrnoError("cannot stat", path.string(), error.value()));
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (!access || H5Pset_file_locking(access.get(), false, true) < 0 ||
      H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG) < 0) {
    return Fail(ErrorCode::kInternal, "HDF5: " + TakeHdf5Problem());
  }
  const Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!file) return Fail(ErrorCode::kInvalid, "HDF5: " + TakeHdf5Problem(), path.string());
  Result<Container> container = ReadFrom(file.get(), static_cast<std::int64_t>(file_size));
  H5Eclear2(H5E_DEFAULT);
  if (!container) container.error().where = path.string();
  return container;
}

}  // namespace tutti::checkpoint
