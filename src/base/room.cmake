# spdlog and fmt as headers: Debian's libraries of them are shared.
find_package(fmt REQUIRED)
target_compile_definitions(glia_base PRIVATE SPDLOG_FMT_EXTERNAL)
target_link_libraries(glia_base PUBLIC Boost::json Threads::Threads PRIVATE fmt::fmt-header-only)
