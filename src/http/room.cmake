# Asio and Beast are compiled once, in asio_build.cpp.
target_compile_definitions(glia_http PRIVATE BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                                             BOOST_ASIO_NO_DEPRECATED)
# GCC 12 with sanitizers takes Beast's optional body limit for uninitialised.
if(GLIA_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set_property(SOURCE ${dir}/asio_build.cpp ${dir}/client.cpp ${dir}/request_reader.cpp
               APPEND PROPERTY COMPILE_OPTIONS -Wno-maybe-uninitialized)
endif()
# Asio's fences are not understood by the thread sanitizer; what they guard is also ordered by Asio's mutexes.
if(GLIA_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(glia_http PRIVATE -Wno-tsan)
endif()
