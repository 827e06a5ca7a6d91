# lichen_preemptible(target [SIM]): the target's own code may be interrupted in the middle when something more
# urgent has its turn (lichen/sched/app_text.hpp). The libraries come first on its command line, so that
# of an inline function that both have the library's copy is taken, which is not app text. SIM: those of
# the sim world. Part of the package: works with Lichen:: targets as well as in the tree.
set(LICHEN_APP_TEXT_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/app_text.ld.in)
function(lichen_preemptible target)
  cmake_parse_arguments(arg "SIM" "" "" ${ARGN})
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}.app_text.ld)
  configure_file(${LICHEN_APP_TEXT_SCRIPT} ${script} @ONLY)
  set(first "")
  set(libraries hal coro mem sched io driver net)
  if(arg_SIM)
    list(TRANSFORM libraries APPEND _sim)
  endif()
  foreach(library base ${libraries})
    if(TARGET lichen_${library})
      list(APPEND first $<TARGET_FILE:lichen_${library}>)
      add_dependencies(${target} lichen_${library})
    elseif(TARGET Lichen::${library})
      list(APPEND first $<TARGET_FILE:Lichen::${library}>)
    endif()
  endforeach()
  target_link_options(${target} PRIVATE -fuse-ld=lld-19 -Wl,--gc-sections -Wl,-T,${script}
    -Wl,--whole-archive ${first} -Wl,--no-whole-archive)
endfunction()
