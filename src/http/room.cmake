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

# fetch.cpp: libcurl as scripts/bootstrap built it, OpenSSL's archives from Debian. A target without them (another
# architecture) builds all but the programs that fetch.
set(GLIA_CURL ${CMAKE_SOURCE_DIR}/.toolchain/curl)
find_library(GLIA_LIBSSL NAMES libssl.a)
find_library(GLIA_LIBCRYPTO NAMES libcrypto.a)
mark_as_advanced(GLIA_LIBSSL GLIA_LIBCRYPTO)
add_library(glia_tls INTERFACE)
if(CMAKE_CROSSCOMPILING OR NOT GLIA_LIBSSL OR NOT GLIA_LIBCRYPTO OR NOT EXISTS ${GLIA_CURL}/libcurl.a)
  set_property(SOURCE ${dir}/fetch.cpp ${dir}/fetch_test.cpp PROPERTY HEADER_FILE_ONLY ON)
  message(WARNING "libcurl or OpenSSL is missing for this target (scripts/bootstrap brings them): without them "
                  "glia and test_hub cannot be built")
else()
  set_property(SOURCE ${dir}/fetch.cpp APPEND PROPERTY INCLUDE_DIRECTORIES ${GLIA_CURL}/include)
  set_property(SOURCE ${dir}/fetch.cpp APPEND PROPERTY COMPILE_DEFINITIONS CURL_STATICLIB)
  target_link_libraries(glia_tls INTERFACE ${GLIA_CURL}/libcurl.a ${GLIA_LIBSSL} ${GLIA_LIBCRYPTO} Threads::Threads ${CMAKE_DL_LIBS})
endif()
target_link_libraries(glia_http PUBLIC glia_tls)
