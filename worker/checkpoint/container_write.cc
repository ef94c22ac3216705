#include <hdf5.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "worker/checkpoint/container.h"
#include "worker/checkpoint/hdf5_handle.h"

namespace tutti::checkpoint {
namespace {

constexpr std::size_t kImageStep = std::size_t{16} << 10;
// All metadata is to lie before the first tensor, else the image grows to the size of the file: a
// dataset takes about 300 bytes, its name once or twice.
constexpr hsize_t kMetadataBase = hsize_t{48} << 10;
constexpr hsize_t kMetadataPerTensor = 400;
// "End of file address" in superblocks of version 2 and 3 (HDF5 file format specification, II.A).
constexpr std::size_t kEndOfFileAt = 28;

// What the core driver writes into. HDF5 frees its buffer when the file closes; here it is kept,
// so that the file's bytes are there after everything was flushed.
struct Image {
  std::byte* memory = nullptr;
  std::size_t size = 0;

  Image() = default;
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image() { std::free(memory); }

  void* Resize(std::size_t wanted) {
    auto* grown = static_cast<std::byte*>(std::realloc(memory, wanted));
    if (grown == nullptr) return nullptr;
    if (wanted > size) std::memset(grown + size, 0, wanted - size);
    memory = grown;
    size = wanted;
    return grown;
  }
};

extern "C" {
static void* ImageMalloc(size_t size, H5FD_file_image_op_t, void* image) {
  return static_cast<Image*>(image)->Resize(size);
}
static void* ImageRealloc(void*, size_t size, H5FD_file_image_op_t, void* image) {
  return static_cast<Image*>(image)->Resize(size);
}
static void* ImageCopy(void* to, const void* from, size_t size, H5FD_file_image_op_t, void*) {
  return std::memcpy(to, from, size);
}
static herr_t ImageFree(void*, H5FD_file_image_op_t, void*) { return 0; }
static void* ImageSelf(void* image) { return image; }
static herr_t ImageRelease(void*) { return 0; }
}

// Collects the first failure of a row of HDF5 calls.
class Calls {
 public:
  Hdf5Handle Own(hid_t id, Hdf5Handle::CloseFunction close) {
    Expect(id >= 0);
    return {id, close};
  }
  void Expect(bool ok) {
    if (ok || !problem_.empty()) return;
    problem_ = TakeHdf5Problem();
  }
  Status Finish() const {
    if (problem_.empty()) return {};
    return Fail(ErrorCode::kInternal, "HDF5: " + problem_);
  }

 private:
  std::string problem_;
};

void WriteAttribute(Calls& calls, hid_t object, const std::string& name, hid_t file_type,
                    hid_t memory_type, const void* value) {
  const auto space = calls.Own(H5Screate(H5S_SCALAR), H5Sclose);
  const auto attribute = calls.Own(
      H5Acreate2(object, name.c_str(), file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  calls.Expect(H5Awrite(attribute.get(), memory_type, value) >= 0);
}

void WriteNumber(Calls& calls, hid_t object, const std::string& name, std::int64_t value) {
  WriteAttribute(calls, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

void WriteNumber(Calls& calls, hid_t object, const std::string& name, double value) {
  WriteAttribute(calls, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

void WriteText(Calls& calls, hid_t object, const std::string& name, const std::string& value) {
  const auto type = calls.Own(H5Tcopy(H5T_C_S1), H5Tclose);
  calls.Expect(H5Tset_size(type.get(), std::max<std::size_t>(value.size(), 1)) >= 0);
  calls.Expect(H5Tset_strpad(type.get(), H5T_STR_NULLPAD) >= 0);
  calls.Expect(H5Tset_cset(type.get(), H5T_CSET_UTF8) >= 0);
  WriteAttribute(calls, object, name, type.get(), type.get(), value.c_str());
}

hsize_t MetadataBound(std::span<const TensorPlace* const> tensors) {
  hsize_t bound = kMetadataBase;
  for (const TensorPlace* tensor : tensors) {
    bound += kKinds.size() * (kMetadataPerTensor + 2 * tensor->name.size());
  }
  return (bound + kImageStep - 1) / kImageStep * kImageStep;
}

Hdf5Handle FileAccess(Calls& calls, Image& image, hsize_t metadata_bound) {
  auto access = calls.Own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  calls.Expect(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0);
  calls.Expect(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG) >= 0);
  calls.Expect(H5Pset_meta_block_size(access.get(), metadata_bound) >= 0);
  // Small tensors are not gathered elsewhere: the order in the file is the order of creation.
  calls.Expect(H5Pset_small_data_block_size(access.get(), 0) >= 0);
  calls.Expect(H5Pset_fapl_core(access.get(), kImageStep, /*backing_store=*/0) >= 0);
  H5FD_file_image_callbacks_t callbacks{ImageMalloc, ImageCopy,    ImageRealloc, ImageFree,
                                        ImageSelf,   ImageRelease, &image};
  calls.Expect(H5Pset_file_image_callbacks(access.get(), &callbacks) >= 0);
  return access;
}

Hdf5Handle Untimed(Calls& calls, hid_t property_class) {
  auto properties = calls.Own(H5Pcreate(property_class), H5Pclose);
  calls.Expect(H5Pset_obj_track_times(properties.get(), false) >= 0);
  return properties;
}

Hdf5Handle MakeGroup(Calls& calls, hid_t parent, const char* name) {
  const auto properties = Untimed(calls, H5P_GROUP_CREATE);
  return calls.Own(H5Gcreate2(parent, name, H5P_DEFAULT, properties.get(), H5P_DEFAULT), H5Gclose);
}

void WriteHead(Calls& calls, hid_t root, const Head& head) {
  WriteNumber(calls, root, "format_version", std::int64_t{kFormatVersion});
  WriteNumber(calls, root, "step", head.cursor.step);
  WriteNumber(calls, root, "attempt", std::int64_t{head.attempt});
  WriteText(calls, root, "spec_digest", head.spec_digest);
  const auto cursor = MakeGroup(calls, root, "data_cursor");
  for (const auto& field : kCursorFields) {
    WriteNumber(calls, cursor.get(), field.name, head.cursor.*field.member);
  }
  WriteNumber(calls, cursor.get(), kBestMetric, head.cursor.best_metric);
  const auto metrics = MakeGroup(calls, root, "metrics");
  for (const auto& [name, value] : head.metrics) WriteNumber(calls, metrics.get(), name, value);
}

// Allocates the dataset's bytes and writes none of them.
Extent MakeTensor(Calls& calls, hid_t group, hid_t properties, Kind kind,
                  const TensorPlace& tensor) {
  Extent extent{.kind = kind,
                .name = tensor.name,
                .shape = tensor.shape,
                .bytes = tensor.count * static_cast<std::int64_t>(sizeof(float))};
  const std::vector<hsize_t> dimensions(tensor.shape.begin(), tensor.shape.end());
  const auto space = calls.Own(
      dimensions.empty()
          ? H5Screate(H5S_SCALAR)
          : H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr),
      H5Sclose);
  const auto dataset = calls.Own(H5Dcreate2(group, tensor.name.c_str(), H5T_IEEE_F32LE, space.get(),
                                            H5P_DEFAULT, properties, H5P_DEFAULT),
                                 H5Dclose);
  if (extent.bytes == 0 || !dataset) return extent;
  const haddr_t address = H5Dget_offset(dataset.get());
  calls.Expect(address != HADDR_UNDEF);
  extent.from = static_cast<std::int64_t>(address);
  return extent;
}

std::vector<Extent> MakeTensors(Calls& calls, hid_t root,
                                std::span<const TensorPlace* const> tensors) {
  const auto properties = Untimed(calls, H5P_DATASET_CREATE);
  calls.Expect(H5Pset_layout(properties.get(), H5D_CONTIGUOUS) >= 0);
  calls.Expect(H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY) >= 0);
  calls.Expect(H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER) >= 0);
  const auto optimizer = MakeGroup(calls, root, "optimizer");
  std::vector<Extent> extents;
  extents.reserve(tensors.size() * kKinds.size());
  for (const Kind kind : kKinds) {
    const auto group = MakeGroup(calls, root, std::string(GroupOf(kind)).c_str());
    for (const TensorPlace* tensor : tensors) {
      extents.push_back(MakeTensor(calls, group.get(), properties.get(), kind, *tensor));
    }
  }
  return extents;
}

// The order and the size that the writer streams by.
Status CheckLayout(const Skeleton& skeleton) {
  std::int64_t at = 0;
  for (const Extent& extent : skeleton.extents) {
    if (extent.bytes == 0) continue;
    if (extent.from < at || extent.from + extent.bytes > skeleton.size) {
      return Fail(ErrorCode::kInternal, "HDF5 laid tensor " + extent.name + " out of order");
    }
    at = extent.from + extent.bytes;
  }
  return {};
}

}  // namespace

std::string_view GroupOf(Kind kind) {
  switch (kind) {
    case Kind::kParameters:
      return "params";
    case Kind::kFirstMoments:
      return "optimizer/first_moments";
    case Kind::kSecondMoments:
      return "optimizer/second_moments";
  }
  return "";
}

Result<Skeleton> MakeSkeleton(const Head& head, std::span<const TensorPlace* const> tensors) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  Calls calls;
  Image image;
  Skeleton skeleton;
  {
    const auto access = FileAccess(calls, image, MetadataBound(tensors));
    const auto creation = Untimed(calls, H5P_FILE_CREATE);
    auto file =
        calls.Own(H5Fcreate("checkpoint", H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose);
    TUTTI_RETURN_IF_ERROR(calls.Finish());
    WriteHead(calls, file.get(), head);
    skeleton.extents = MakeTensors(calls, file.get(), tensors);
    calls.Expect(file.Close());
  }
  TUTTI_RETURN_IF_ERROR(calls.Finish());
  if (image.size < kEndOfFileAt + sizeof(skeleton.size)) {
    return Fail(ErrorCode::kInternal, "HDF5 wrote no superblock");
  }
  std::memcpy(&skeleton.size, image.memory + kEndOfFileAt, sizeof(skeleton.size));
  const auto used = std::min(image.size, static_cast<std::size_t>(skeleton.size));
  skeleton.metadata.assign(image.memory, image.memory + used);
  TUTTI_RETURN_IF_ERROR(CheckLayout(skeleton));
  return skeleton;
}

}  // namespace tutti::checkpoint
