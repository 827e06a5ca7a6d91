# How the parts of Lichen are built: one folder, one library. Used by every CMakeLists.txt.

option(LICHEN_LTO "Optimise across files when linking (ThinLTO)" OFF)
option(LICHEN_POISON "Fill freed memory with a pattern and check it" OFF)
option(LICHEN_FUZZ "Build the libFuzzer targets" OFF)
option(LICHEN_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
# The release is built without, so a missing #include is found.
option(LICHEN_PRECOMPILE "Compile the headers of the C++ library once for all files" OFF)
set(LICHEN_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")
# The world that programs are built for: linux, or what a toolchain file for a bare machine says.
if(NOT DEFINED LICHEN_WORLD)
  set(LICHEN_WORLD linux)
endif()
set(LICHEN_BARE OFF)
if(NOT LICHEN_WORLD STREQUAL linux)
  set(LICHEN_BARE ON)
endif()

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "Lichen is built with Clang 19 or newer, not ${CMAKE_CXX_COMPILER_ID} "
    "${CMAKE_CXX_COMPILER_VERSION}. Use a preset (cmake --preset release), which chooses it.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")
if(LICHEN_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")  # lines for reports, but no types
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG -g1")
if(NOT LICHEN_BARE)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
endif()

add_library(lichen_flags INTERFACE)
add_library(lichen::flags ALIAS lichen_flags)
target_compile_features(lichen_flags INTERFACE cxx_std_23)
# What a program that includes our headers must be compiled with, too.
target_compile_options(lichen_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fcoro-aligned-allocation>)
target_include_directories(lichen_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# Stack traces name files from the root of the project.
add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)

add_library(lichen_strict INTERFACE)
target_compile_options(lichen_strict INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wthread-safety -Werror -fvisibility-inlines-hidden>)
if(LICHEN_SANITIZE)
  add_compile_options(-fsanitize=${LICHEN_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LICHEN_SANITIZE})
endif()
if(LICHEN_POISON)
  # The layout of a heap depends on it, so users of an installed library must see it, too.
  target_compile_definitions(lichen_flags INTERFACE LICHEN_POISON=1)
endif()
if(LICHEN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(LICHEN_LTO)
  set(CMAKE_AR llvm-ar-19)
  set(CMAKE_RANLIB llvm-ranlib-19)
  add_compile_options(-flto=thin)
  add_link_options(-flto=thin -Wl,--thinlto-cache-dir=${PROJECT_BINARY_DIR}/lto.cache)
  # The installed libraries are bitcode then, which not every linker reads.
  target_link_options(lichen_flags INTERFACE $<INSTALL_INTERFACE:-fuse-ld=lld>)
endif()
add_link_options(-fuse-ld=lld-19)
if(LICHEN_BARE)
  include(bare)
endif()

# precompile(target libraries|programs|tests): lets it use the precompiled headers, where they are wanted.
# The three sets differ in how their code is made and in what they define.
if(LICHEN_PRECOMPILE)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/headers.cpp CONTENT "")
  foreach(kind libraries programs tests)
    add_library(lichen_headers_${kind} OBJECT EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/headers.cpp)
    target_link_libraries(lichen_headers_${kind} PRIVATE lichen_flags)
    target_precompile_headers(lichen_headers_${kind} PRIVATE <algorithm> <array> <atomic> <bit> <chrono> <coroutine>
      <cstdint> <cstring> <map> <memory> <optional> <span> <string> <string_view> <utility> <vector>)
  endforeach()
  foreach(kind programs tests)
    set_target_properties(lichen_headers_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(lichen_headers_${kind} PRIVATE -fPIE)
  endforeach()
  if(LICHEN_TESTS)
    find_package(GTest REQUIRED)
    target_precompile_headers(lichen_headers_tests PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
    target_link_libraries(lichen_headers_tests PRIVATE GTest::gmock GTest::gtest)
  endif()
endif()
function(precompile target kind)
  if(LICHEN_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM lichen_headers_${kind})
  endif()
endfunction()

# The include rules are checked before anything is compiled.
if(EXISTS ${PROJECT_SOURCE_DIR}/tools/check_layers)
  add_custom_target(check_layers ALL
    COMMAND ${PROJECT_SOURCE_DIR}/tools/check_layers
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    COMMENT "Checking the arrows between the layers"
    VERBATIM)
endif()

set_property(GLOBAL PROPERTY LICHEN_LIBRARIES "")

# lichen_library(lichen_x [SIM] SOURCES ... DEPENDS lichen_y ...): the static library of lichen/x. SIM:
# also lichen_x_sim, the same for the sim world.
function(lichen_library name)
  cmake_parse_arguments(arg "SIM" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  string(REPLACE "lichen_" "" short ${name})
  add_library(lichen::${short} ALIAS ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${short})
  target_link_libraries(${name} PUBLIC lichen_flags ${arg_DEPENDS} PRIVATE $<BUILD_INTERFACE:lichen_strict>)
  if(TARGET check_layers)
    add_dependencies(${name} check_layers)
  endif()
  set_property(GLOBAL APPEND PROPERTY LICHEN_LIBRARIES ${name})
  precompile(${name} libraries)
  if(arg_SIM)
    lichen_sim_library(${name} STEPS SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS})
  endif()
endfunction()

# What lets the simulator interrupt code between any two of its basic blocks (lichen/hal/sim/
# simulator.hpp).
set(LICHEN_SIM_STEPS -fsanitize-coverage=edge,no-prune,trace-pc)

# lichen_sim_library(lichen_x [STEPS] SOURCES ... DEPENDS ...): lichen_x_sim, a part of the kernel that
# runs on the deterministic machine of lichen/hal/sim; STEPS: which may interrupt it anywhere. A library
# it depends on is taken in its sim form where there is one. Programs that link such a library MUST NOT
# link the other form of it.
function(lichen_sim_library name)
  cmake_parse_arguments(arg "STEPS" "" "SOURCES;DEPENDS" ${ARGN})
  if(NOT LICHEN_TESTS OR LICHEN_FUZZ OR LICHEN_BARE)
    return()
  endif()
  set(depends "")
  foreach(library ${arg_DEPENDS})
    if(TARGET ${library}_sim)
      list(APPEND depends ${library}_sim)
    else()
      list(APPEND depends ${library})
    endif()
  endforeach()
  add_library(${name}_sim STATIC EXCLUDE_FROM_ALL ${arg_SOURCES})
  target_link_libraries(${name}_sim PUBLIC lichen_flags ${depends} PRIVATE lichen_strict)
  target_compile_definitions(${name}_sim
    PUBLIC LICHEN_WORLD_HEADER="lichen/hal/sim/world.hpp")
  if(arg_STEPS)
    target_compile_options(${name}_sim PRIVATE ${LICHEN_SIM_STEPS})
  endif()
  precompile(${name}_sim libraries)
  if(TARGET check_layers)
    add_dependencies(${name}_sim check_layers)
  endif()
endfunction()

# lichen_executable(name SOURCES ... DEPENDS ...)
function(lichen_executable name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lichen_strict ${arg_DEPENDS})
  if(arg_DEPENDS)  # others are compiled in their own way
    precompile(${name} programs)
  endif()
endfunction()

include(${CMAKE_CURRENT_LIST_DIR}/LichenPreemptible.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/LichenPackFiles.cmake)

# lichen_app(name [PREEMPTIBLE] [NETWORK] [DISKS] [CONSOLE] [BALLOON] SOURCES ... [DEPENDS ...] [FILES folder [AT path]]):
# build/<preset>/apps/<name>, a program that is its program_main() (lichen/io/program.hpp): a process on a host, an image
# of its own on a bare machine. PREEMPTIBLE: see lichen_preemptible(). NETWORK, DISKS, CONSOLE, BALLOON: which devices an
# image has drivers for, see lichen_boot_image(); the cache variable LICHEN_DEVICES_<name> names more of them. FILES: what
# an image has inside, in its folder `path`; the cache variable LICHEN_FILES_<name> names another folder instead.
function(lichen_app name)
  cmake_parse_arguments(arg "PREEMPTIBLE;NETWORK;DISKS;CONSOLE;BALLOON" "FILES;AT" "SOURCES;DEPENDS" ${ARGN})
  if(NOT LICHEN_BARE)
    lichen_executable(${name} SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS} lichen_host_program)
    if(arg_PREEMPTIBLE)
      lichen_preemptible(${name})
    endif()
  else()
    set(options "")
    foreach(option PREEMPTIBLE NETWORK DISKS CONSOLE BALLOON)
      if(arg_${option} OR option IN_LIST LICHEN_DEVICES_${name})
        list(APPEND options ${option})
      endif()
    endforeach()
    lichen_boot_image(${name} ${options} SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS} lichen_image_program)
    if(LICHEN_FILES_${name})
      set(arg_FILES ${LICHEN_FILES_${name}})
    endif()
    if(arg_FILES)
      lichen_pack_files(${name} ${arg_FILES} AT "${arg_AT}" FOLDERS tmp)
      target_link_libraries(${name} PRIVATE $<TARGET_OBJECTS:lichen_image_files>)
    endif()
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/apps)
endfunction()

# lichen_test(name SOURCES ... DEPENDS ...): a GoogleTest executable, one ctest entry. LICHEN_ONE_THREAD: the tests of
# this folder have one thread, in which ThreadSanitizer finds nothing.
if(LICHEN_TESTS)
  enable_testing()
  if(NOT LICHEN_BARE)
    find_package(GTest REQUIRED)
  endif()
endif()
function(lichen_test name)
  if(NOT LICHEN_TESTS OR LICHEN_FUZZ OR LICHEN_BARE)  # tests/boot runs them on bare machines
    return()
  endif()
  if(LICHEN_ONE_THREAD AND LICHEN_SANITIZE MATCHES thread)
    return()
  endif()
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lichen_strict ${arg_DEPENDS} GTest::gmock GTest::gtest_main)
  precompile(${name} tests)
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()

# lichen_fuzzer(name RUNS number SOURCES ... DEPENDS ... CORPUS folder): a libFuzzer target; ctest runs it
# over its corpus and so many inputs in all, or explores (tests/fuzz/run_fuzzer).
function(lichen_fuzzer name)
  if(NOT LICHEN_FUZZ)
    return()
  endif()
  cmake_parse_arguments(arg "" "RUNS;CORPUS" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lichen_strict ${arg_DEPENDS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/fuzz/run_fuzzer
    $<TARGET_FILE:${name}> ${arg_RUNS} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
  set_tests_properties(${name} PROPERTIES LABELS fuzz)
endfunction()
