# catalog/*.json goes into the binary, so that a running program needs no data files beside it.
file(GLOB_RECURSE catalog_files RELATIVE ${CMAKE_SOURCE_DIR}/catalog CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/catalog/*.json)
list(FILTER catalog_files EXCLUDE REGEX "^errors\\.json$")  # generated into base/error_codes.inc
list(JOIN catalog_files "," catalog_names)
set(catalog_paths ${catalog_files})
list(TRANSFORM catalog_paths PREPEND ${CMAKE_SOURCE_DIR}/catalog/)
set(catalog_cpp ${CMAKE_BINARY_DIR}/generated/catalog_embedded.cpp)
add_custom_command(
  OUTPUT ${catalog_cpp}
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR}/catalog -DFILES=${catalog_names} -DOUT=${catalog_cpp}
          -P ${CMAKE_SOURCE_DIR}/src/catalog/embed.cmake
  DEPENDS ${catalog_paths} ${CMAKE_SOURCE_DIR}/src/catalog/embed.cmake
  COMMENT "Embedding catalog/"
  VERBATIM)
target_sources(glia_catalog PRIVATE ${catalog_cpp})
