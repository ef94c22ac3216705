# One call per leaf folder: its library and its unit test.
#
#   tutti_library(
#     SOURCES a.cc b.cc            # none: a header-only library
#     DEPENDS common/base          # other folders of ours: public, checked by tests/tidy
#     PACKAGES OpenSSL::Crypto     # third parties
#     TESTS a_test.cc              # below tests/<this folder>/
#     TEST_DEPENDS ... TEST_PACKAGES ...)   # what only the tests need
#
# The target's name is the folder's path with '_' for '/': scheduler/core -> scheduler_core,
# its test program scheduler_core_test.

function(tutti_target_of out folder)
  string(REPLACE "/" "_" name "${folder}")
  set(${out} "${name}" PARENT_SCOPE)
endfunction()

function(tutti_library)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS;PACKAGES;TESTS;TEST_DEPENDS;TEST_PACKAGES" ${ARGN})
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "tutti_library: unknown words ${A_UNPARSED_ARGUMENTS}")
  endif()
  file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  tutti_target_of(name "${folder}")
  if(A_SOURCES)
    add_library(${name} STATIC ${A_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(${name} PRIVATE tutti_options)
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(${name} ${scope} tutti_options ${A_PACKAGES})
  foreach(other IN LISTS A_DEPENDS)
    tutti_target_of(other_name "${other}")
    target_link_libraries(${name} ${scope} ${other_name})
  endforeach()
  if(A_TESTS)
    tutti_test(NAME ${name}_test FOLDER "${folder}" SOURCES ${A_TESTS}
               DEPENDS "${folder}" ${A_TEST_DEPENDS} PACKAGES ${A_TEST_PACKAGES})
  endif()
endfunction()

# A GoogleTest program of sources below tests/<FOLDER>/; one ctest entry. LAUNCHER: the words that
# start it (mpirun -np 2).
function(tutti_test)
  cmake_parse_arguments(A "" "NAME;FOLDER;TIMEOUT"
    "SOURCES;DEPENDS;PACKAGES;LABELS;ENVIRONMENT;LAUNCHER" ${ARGN})
  list(TRANSFORM A_SOURCES PREPEND "${CMAKE_SOURCE_DIR}/tests/${A_FOLDER}/")
  add_executable(${A_NAME} ${A_SOURCES})
  target_link_libraries(${A_NAME} PRIVATE tutti_options ${A_PACKAGES} GTest::gmock GTest::gtest_main)
  # What only tests run is compiled in three quarters of the time that -O2 takes.
  target_compile_options(${A_NAME} PRIVATE $<$<CONFIG:Release>:-O1>)
  foreach(other IN LISTS A_DEPENDS)
    tutti_target_of(other_name "${other}")
    target_link_libraries(${A_NAME} PRIVATE ${other_name})
  endforeach()
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${A_NAME} COMMAND ${A_LAUNCHER} $<TARGET_FILE:${A_NAME}> WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  if(TUTTI_SANITIZE)
    math(EXPR A_TIMEOUT "${A_TIMEOUT} * 4")
  endif()
  if(NOT A_LABELS)
    set(A_LABELS unit)
  endif()
  set_tests_properties(${A_NAME} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}"
    ENVIRONMENT "OMP_NUM_THREADS=1;OPENBLAS_NUM_THREADS=1;${A_ENVIRONMENT}")
endfunction()

# A program in bin/: tutti_program(NAME tutti SOURCES main.cc DEPENDS jobs/cli).
function(tutti_program)
  cmake_parse_arguments(A "" "NAME" "SOURCES;DEPENDS;PACKAGES" ${ARGN})
  add_executable(${A_NAME} ${A_SOURCES})
  target_link_libraries(${A_NAME} PRIVATE tutti_options ${A_PACKAGES})
  foreach(other IN LISTS A_DEPENDS)
    tutti_target_of(other_name "${other}")
    target_link_libraries(${A_NAME} PRIVATE ${other_name})
  endforeach()
endfunction()
