# Of prometheus-cpp only the core, from its source as placed by scripts/bootstrap: Debian has no archive of it, and its other
# parts ask for civetweb, curl and zlib.
set(prometheus_dir ${CMAKE_SOURCE_DIR}/.toolchain/prometheus-cpp)
if(NOT EXISTS ${prometheus_dir}/LICENSE)
  message(FATAL_ERROR "prometheus-cpp's source is not in .toolchain/prometheus-cpp: run scripts/bootstrap")
endif()
file(GLOB_RECURSE prometheus_sources ${prometheus_dir}/src/*.cc)
add_library(glia_prometheus STATIC ${prometheus_sources})
target_include_directories(glia_prometheus SYSTEM PUBLIC ${prometheus_dir}/include PRIVATE ${prometheus_dir}/src)
target_compile_options(glia_prometheus PRIVATE -w)  # not ours to check
target_link_libraries(glia_prometheus PRIVATE Threads::Threads)
target_link_libraries(glia_api PRIVATE glia_prometheus)
