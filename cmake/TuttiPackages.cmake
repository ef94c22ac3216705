# Every third-party library, found once, as a target. Names below are what tutti_library's PACKAGES take.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto SSL)      # OpenSSL::Crypto OpenSSL::SSL
find_package(ZLIB REQUIRED)                                 # ZLIB::ZLIB
find_package(nlohmann_json 3.11 REQUIRED)                   # nlohmann_json::nlohmann_json
find_package(fmt REQUIRED)                                  # fmt::fmt
find_package(simdjson REQUIRED)                             # simdjson::simdjson
find_package(CLI11 REQUIRED)                                # CLI11::CLI11
find_package(Protobuf REQUIRED)                             # protobuf::libprotobuf
find_package(SQLite3 REQUIRED)                              # SQLite::SQLite3
find_package(GTest REQUIRED)                                # GTest::gmock GTest::gtest_main
find_package(prometheus-cpp REQUIRED COMPONENTS core)       # prometheus-cpp::core
find_package(Boost 1.74 REQUIRED)                           # Boost::headers
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)      # PkgConfig::ZMQ (with cppzmq's zmq.hpp)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)   # PkgConfig::YAML
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc)     # PkgConfig::HWLOC
pkg_check_modules(PMIX REQUIRED IMPORTED_TARGET pmix)       # PkgConfig::PMIX
pkg_check_modules(QHULL REQUIRED IMPORTED_TARGET qhull_r)   # PkgConfig::QHULL

# What a server allocates from: glibc's takes a tenth more of the coordinator's time, since one thread frees
# what another allocated. Sanitizers bring their own.
add_library(tutti_allocator INTERFACE)
add_library(tutti::allocator ALIAS tutti_allocator)
if(NOT TUTTI_SANITIZE)
  pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
  target_link_libraries(tutti_allocator INTERFACE PkgConfig::JEMALLOC)
endif()

if(TUTTI_ENGINE)
  # LibTorch: Debian's 1.13.1, or another's folder (CMAKE_PREFIX_PATH would find the Protobuf inside that,
  # too). Its own CMake files force flags on every user, so only the libraries and include folders are
  # taken: tutti::torch.
  set(TUTTI_TORCH_ROOT "" CACHE PATH "folder of a LibTorch, such as a 2.x with CUDA; empty: the system's")
  find_path(TUTTI_TORCH_INCLUDE ATen/ATen.h REQUIRED HINTS "${TUTTI_TORCH_ROOT}" PATH_SUFFIXES include)
  find_library(TUTTI_TORCH_CPU torch_cpu REQUIRED HINTS "${TUTTI_TORCH_ROOT}" PATH_SUFFIXES lib)
  find_library(TUTTI_C10 c10 REQUIRED HINTS "${TUTTI_TORCH_ROOT}" PATH_SUFFIXES lib)
  add_library(tutti_torch INTERFACE)
  add_library(tutti::torch ALIAS tutti_torch)
  target_include_directories(tutti_torch SYSTEM INTERFACE "${TUTTI_TORCH_INCLUDE}")
  target_link_libraries(tutti_torch INTERFACE "${TUTTI_TORCH_CPU}" "${TUTTI_C10}")
  # The OpenBLAS built on OpenMP starts no thread when it is loaded (the zygote forks). Its folder goes
  # first into the rpath of every program with LibTorch, and as DT_RPATH, which counts for LibTorch's own
  # libraries too: so it wins whatever the alternative libblas.so.3 says.
  find_path(TUTTI_OPENBLAS_DIR libopenblas.so.0 PATHS /usr/lib/x86_64-linux-gnu/openblas-openmp
            /usr/lib/aarch64-linux-gnu/openblas-openmp REQUIRED NO_DEFAULT_PATH)
  target_link_options(tutti_torch INTERFACE
    "-Wl,--disable-new-dtags,-rpath,${TUTTI_OPENBLAS_DIR}")

  # oneDNN's own interface, where it is the library that LibTorch uses (Debian's). A LibTorch with one
  # inside, as those with CUDA, gets no second: there products go through LibTorch.
  add_library(tutti_onednn INTERFACE)                        # tutti::onednn
  add_library(tutti::onednn ALIAS tutti_onednn)
  execute_process(COMMAND "${CMAKE_READELF}" -d "${TUTTI_TORCH_CPU}" OUTPUT_VARIABLE torch_needs
                  COMMAND_ERROR_IS_FATAL ANY)
  if(torch_needs MATCHES "NEEDED[^\n]*libdnnl")
    find_package(dnnl REQUIRED CONFIG)
    target_link_libraries(tutti_onednn INTERFACE DNNL::dnnl)
    target_compile_definitions(tutti_onednn INTERFACE TUTTI_ONEDNN)
  endif()

  find_package(OpenMP REQUIRED COMPONENTS CXX)               # OpenMP::OpenMP_CXX, for at::parallel_for
  pkg_check_modules(MPI REQUIRED IMPORTED_TARGET ompi-c)     # PkgConfig::MPI
  set(HDF5_PREFER_PARALLEL OFF)
  find_package(HDF5 REQUIRED COMPONENTS C)
  add_library(tutti_hdf5 INTERFACE)                          # tutti::hdf5
  add_library(tutti::hdf5 ALIAS tutti_hdf5)
  target_include_directories(tutti_hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
  target_link_libraries(tutti_hdf5 INTERFACE ${HDF5_LIBRARIES})
endif()
