# Machines without a host: what LICHEN_WORLD x86_64 and riscv64 have in common. Read by lichen.cmake.
#
# The headers are those of the hosted C++ library; what of it is not in headers is ours
# (lichen/hal/bare), or a file of libstdc++.a or libgcc.a that needs nothing of a C library: digits of
# floating-point numbers, the balancing of std::map, division of 128-bit numbers.
add_library(lichen_bare_flags INTERFACE)
target_compile_definitions(lichen_bare_flags INTERFACE
  LICHEN_WORLD_HEADER="lichen/hal/${LICHEN_WORLD}/world.hpp"
  _GLIBCXX_EXTERN_TEMPLATE=0)  # nobody has made std::string for us
target_link_libraries(lichen_flags INTERFACE lichen_bare_flags)
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")  # lines for a crash, but no types
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG -g1 -fno-omit-frame-pointer")  # so that a crash can tell the calls
add_compile_options(-fno-pic -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
  $<$<COMPILE_LANGUAGE:CXX>:-fno-c++-static-destructors>
  -fstack-protector-strong ${LICHEN_BARE_OPTIONS}
  $<$<CONFIG:Debug>:-fsanitize=undefined> $<$<CONFIG:Debug>:-fsanitize-trap=undefined>)
add_link_options(-static -nostdlib -Wl,--gc-sections -Wl,-z,max-page-size=4096 -Wl,--build-id=none
  -Wl,-z,norelro)

find_library(LICHEN_LIBSTDCXX NAMES libstdc++.a PATHS ${LICHEN_GCC_FOLDER} NO_DEFAULT_PATH REQUIRED)
find_library(LICHEN_LIBGCC NAMES libgcc.a PATHS ${LICHEN_GCC_FOLDER} NO_DEFAULT_PATH REQUIRED)

# lichen_boot_image(name [PREEMPTIBLE] [NETWORK] [DISKS] [CONSOLE] [BALLOON] SOURCES ... DEPENDS ...): a program that
# boots by itself. PREEMPTIBLE: its own code is app text, see lichen_preemptible(). The others are devices, whose
# drivers are in the image then: NETWORK virtio network cards, under our own TCP/IP, with CONSOLE and
# BALLOON; DISKS virtio disks (io::System::disks()); CONSOLE a virtio console; BALLOON a virtio balloon.
set(LICHEN_IMAGE_SCRIPT ${PROJECT_SOURCE_DIR}/lichen/hal/${LICHEN_WORLD}/image.ld)
function(lichen_boot_image name)
  cmake_parse_arguments(arg "PREEMPTIBLE;NETWORK;DISKS;CONSOLE;BALLOON" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  if(arg_NETWORK)
    set(arg_CONSOLE ON)
    set(arg_BALLOON ON)
  endif()
  set(parts "")
  foreach(part NETWORK DISKS CONSOLE BALLOON)
    if(arg_${part})
      string(TOLOWER ${part} lower)
      list(APPEND parts ${lower})
    endif()
  endforeach()
  set(driven "")
  if(parts)
    set(driven driver_virtio driver_pci)
    if(arg_NETWORK)
      list(APPEND driven net_wire net_ip net_tcp net_dhcp net_dns net_inet)
      list(APPEND arg_DEPENDS lichen_net_inet)
    endif()
    list(APPEND arg_DEPENDS lichen_driver_virtio lichen_driver_pci)
    # Before the program's own, for the same reason as below.
    foreach(part devices ${parts})
      target_link_options(${name} PRIVATE $<TARGET_OBJECTS:lichen_image_${part}>)
      set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS $<TARGET_OBJECTS:lichen_image_${part}>)
    endforeach()
  endif()
  set(LICHEN_APP_TEXT "")
  if(arg_PREEMPTIBLE)
    set(LICHEN_APP_TEXT "*${name}.dir/*(.text .text.*)")
    # First, so that of an inline function that both have the library's copy is taken.
    set(libraries "")
    foreach(library base hal coro mem sched io net ${driven})
      if(TARGET lichen_${library})
        list(APPEND libraries $<TARGET_FILE:lichen_${library}>)
        add_dependencies(${name} lichen_${library})
      endif()
    endforeach()
    target_link_options(${name} PRIVATE
      -Wl,--whole-archive ${libraries} -Wl,--no-whole-archive)
  endif()
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${name}.ld)
  configure_file(${LICHEN_IMAGE_SCRIPT} ${script} @ONLY)
  target_link_options(${name} PRIVATE -Wl,-T,${script})
  target_link_libraries(${name} PRIVATE lichen_strict ${arg_DEPENDS} lichen_image
    ${LICHEN_LIBSTDCXX} ${LICHEN_LIBGCC})
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${script})
endfunction()
