# Runs PROGRAM in a new folder FOLDER and compares what it prints with the file EXPECTED.
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
execute_process(COMMAND ${PROGRAM} WORKING_DIRECTORY ${FOLDER}
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
file(READ ${EXPECTED} expected)
if(NOT output STREQUAL expected)
  message("The tutorial says:\n${expected}\nIt printed:\n${output}\n${errors}")
  message(FATAL_ERROR "not what the tutorial says")
endif()
if(NOT status EQUAL 0)
  message("${errors}")
  message(FATAL_ERROR "ended with ${status}")
endif()
