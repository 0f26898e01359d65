# Asio and Beast are compiled once, in asio_build.cpp.
target_compile_definitions(glia_http PRIVATE BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                                             BOOST_ASIO_NO_DEPRECATED)
