# `cmake --install`: headers, static libraries and a package for find_package(Lichen). The package's
# Lichen::lichen is everything a program on a host needs; see docs/tutorial.md.
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY LICHEN_LIBRARIES)
add_library(lichen INTERFACE)
target_link_libraries(lichen INTERFACE ${libraries})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Lichen)
install(TARGETS lichen lichen_flags ${libraries} EXPORT lichen)
install(EXPORT lichen FILE LichenTargets.cmake NAMESPACE Lichen:: DESTINATION ${package})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/lichen DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp" PATTERN "*test*" EXCLUDE)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/LichenConfig.cmake.in
  ${PROJECT_BINARY_DIR}/LichenConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/LichenConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/LichenConfig.cmake ${PROJECT_BINARY_DIR}/LichenConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/LichenPreemptible.cmake ${CMAKE_CURRENT_LIST_DIR}/app_text.ld.in
  DESTINATION ${package})
