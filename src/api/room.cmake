# Of prometheus-cpp only the core: its CMake package asks for civetweb, curl and zlib, which belong to parts not used here.
find_library(GLIA_PROMETHEUS_CORE prometheus-cpp-core REQUIRED)
target_link_libraries(glia_api PRIVATE ${GLIA_PROMETHEUS_CORE})
