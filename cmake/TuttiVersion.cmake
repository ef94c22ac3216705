# generated/version.cc, rewritten at every build when the commit changed.
set(TUTTI_VERSION_CC "${CMAKE_BINARY_DIR}/generated/version.cc")
add_custom_target(tutti_version
  COMMAND "${CMAKE_COMMAND}" -DOUT=${TUTTI_VERSION_CC} -DVERSION=${PROJECT_VERSION}
          -DSOURCE=${CMAKE_SOURCE_DIR} -P "${CMAKE_SOURCE_DIR}/cmake/WriteVersion.cmake"
  BYPRODUCTS "${TUTTI_VERSION_CC}"
  COMMENT "")
