# Builds every room under src/ that exists. src/rooms.json is the one table of what may include what; the same table
# gives each room's link dependencies here and is held against the includes by tests/rooms/check_rooms.cpp.
#
# A room is src/<room>/**/*.cpp, without *_test.cpp, in the static library glia_<room>; its tests are the *_test.cpp in
# the executable test_<room>. What is special about a room (libraries it owns, per-file flags) stands in
# src/<room>/room.cmake, included after its targets exist.

file(READ ${CMAKE_SOURCE_DIR}/src/rooms.json GLIA_ROOMS_JSON)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/rooms.json)

function(glia_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # GCC bug 105651: false on std::string operator+
    if(GLIA_SANITIZE)
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)  # GCC bug 105562: false on std::regex
    endif()
  endif()
  if(GLIA_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

function(glia_room room)
  set(dir ${CMAKE_SOURCE_DIR}/src/${room})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(NOT sources)
    return()
  endif()
  add_library(glia_${room} STATIC ${sources})
  target_include_directories(glia_${room} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  glia_warnings(glia_${room})
  if(tests AND GLIA_TESTS)
    add_executable(test_${room} ${tests})
    target_link_libraries(test_${room} PRIVATE glia_${room} GTest::gtest GTest::gtest_main)
    target_compile_definitions(test_${room} PRIVATE GLIA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    glia_warnings(test_${room})
    gtest_discover_tests(test_${room} TEST_PREFIX "${room}." DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                         PROPERTIES TIMEOUT 300 LABELS ${room})
  endif()
  if(EXISTS ${dir}/room.cmake)
    include(${dir}/room.cmake)
  endif()
endfunction()

string(JSON room_count LENGTH "${GLIA_ROOMS_JSON}")
math(EXPR last "${room_count} - 1")
set(GLIA_ROOMS)
foreach(i RANGE ${last})
  string(JSON room MEMBER "${GLIA_ROOMS_JSON}" ${i})
  if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/src/${room})
    list(APPEND GLIA_ROOMS ${room})
    glia_room(${room})
  endif()
endforeach()

# Link what a room may include, where it exists.
foreach(room ${GLIA_ROOMS})
  if(TARGET glia_${room})
    string(JSON n LENGTH "${GLIA_ROOMS_JSON}" ${room})
    if(n GREATER 0)
      math(EXPR m "${n} - 1")
      foreach(j RANGE ${m})
        string(JSON dep GET "${GLIA_ROOMS_JSON}" ${room} ${j})
        if(TARGET glia_${dep})
          target_link_libraries(glia_${room} PUBLIC glia_${dep})
        endif()
      endforeach()
    endif()
  endif()
endforeach()
