target_link_libraries(glia_base PUBLIC Boost::json Threads::Threads PRIVATE spdlog::spdlog)
