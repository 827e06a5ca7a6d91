# lichen_pack_files(TARGET FOLDER [AT PATH] [FOLDERS PATH...]): the program TARGET has the files of FOLDER
# inside, which it reads through lichen/fs/packed_files.hpp; AT: they lie in the folder PATH there. FOLDERS:
# these are there, too. One folder a program. Packed again when a file in it changes, comes or goes.
#
# The packer is compiled for the machine that builds, also where images for others are built.
set(LICHEN_PACK_FILES_SOURCE ${CMAKE_CURRENT_LIST_DIR}/../tools/pack_files/pack_files.cpp)
get_filename_component(LICHEN_PACK_FILES_SOURCE ${LICHEN_PACK_FILES_SOURCE} ABSOLUTE)

function(lichen_pack_files target folder)
  cmake_parse_arguments(arg "" "AT" "FOLDERS" ${ARGN})
  get_filename_component(folder ${folder} ABSOLUTE)
  set(packer ${PROJECT_BINARY_DIR}/tools/pack_files)
  if(NOT TARGET lichen_packer)
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tools)
    add_custom_command(OUTPUT ${packer}
      COMMAND ${CMAKE_CXX_COMPILER} -std=c++23 -O1 -Wall -Wextra -Werror -o ${packer}
        ${LICHEN_PACK_FILES_SOURCE}
      DEPENDS ${LICHEN_PACK_FILES_SOURCE}
      COMMENT "Building the packer of files"
      VERBATIM)
    add_custom_target(lichen_packer DEPENDS ${packer})
  endif()

  set(archive ${CMAKE_CURRENT_BINARY_DIR}/${target}_files.cpio)
  file(GLOB_RECURSE inside CONFIGURE_DEPENDS LIST_DIRECTORIES true ${folder}/*)
  add_custom_command(OUTPUT ${archive}
    COMMAND ${packer} ${archive} ${folder} "${arg_AT}" ${arg_FOLDERS}
    DEPENDS lichen_packer ${packer} ${inside}
    COMMENT "Packing the files of ${target}"
    VERBATIM)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}_files.S)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
  .section .rodata.lichen_files, "a", @progbits
  .balign 16
  .globl lichen_files_begin, lichen_files_end
  .hidden lichen_files_begin, lichen_files_end
lichen_files_begin:
  .incbin "@archive@"
lichen_files_end:
  .section .note.GNU-stack, "", @progbits
]])
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${archive})
  target_sources(${target} PRIVATE ${source})
endfunction()
