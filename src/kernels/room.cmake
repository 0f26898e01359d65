# The kernels under isa/ are one source for every instruction set: the room's own library compiles them for the
# baseline, and one object library per further set compiles them again with its flags, its SIMD header and its namespace.
# No contraction: what is fused is written as fma, so that results do not depend on the optimiser.
file(GLOB isa_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/isa/*.cpp)

set(isa_options -ffp-contract=off)
if(GLIA_SANITIZE MATCHES "address")
  # Thousands of inlined vector values make these two take minutes a file; reads and writes stay checked.
  list(APPEND isa_options -fno-sanitize-address-use-after-scope -fno-sanitize=undefined)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND isa_options -Wno-maybe-uninitialized)  # arrays of four registers, filled in loops that GCC 12 keeps apart
endif()
set_source_files_properties(${isa_sources} PROPERTIES COMPILE_OPTIONS "${isa_options}")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The register tile of the fast product: both passes pull its sums apart, and spill one product in two.
  set_property(SOURCE ${CMAKE_SOURCE_DIR}/src/kernels/isa/matmul_fast.cpp
                      ${CMAKE_SOURCE_DIR}/src/kernels/isa/matmul_words.cpp
                      ${CMAKE_SOURCE_DIR}/src/kernels/isa/matmul_int8.cpp
               APPEND PROPERTY COMPILE_OPTIONS -fno-tree-reassoc -fno-tree-ter)
endif()

set(isas)
function(glia_kernels_isa isa)
  add_library(glia_kernels_${isa} OBJECT ${isa_sources})
  target_include_directories(glia_kernels_${isa} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(glia_kernels_${isa} PRIVATE GLIA_ISA=${isa} GLIA_SIMD_HEADER="kernels/simd/${isa}.h")
  glia_warnings(glia_kernels_${isa})
  target_compile_options(glia_kernels_${isa} PRIVATE ${ARGN})
  target_sources(glia_kernels PRIVATE $<TARGET_OBJECTS:glia_kernels_${isa}>)
  set(isas ${isas} ${isa} PARENT_SCOPE)
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(baseline kernels/simd/baseline.h)
  set(other_architectures aarch64)
  glia_kernels_isa(avx2 -mavx2 -mfma -mf16c)
  # GCC 12's AVX-512 intrinsics start from deliberately undefined registers and warn about them.
  glia_kernels_isa(avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
                   -Wno-uninitialized -Wno-maybe-uninitialized)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(baseline kernels/simd/neon_baseline.h)
  set(other_architectures x86_64)
  glia_kernels_isa(dotprod -march=armv8.2-a+dotprod)
else()
  message(FATAL_ERROR "no kernels for ${CMAKE_SYSTEM_PROCESSOR}: write src/kernels/simd/<set>.h and cpu_isa_<architecture>.cpp")
endif()
target_compile_definitions(glia_kernels PRIVATE GLIA_ISA=baseline GLIA_SIMD_HEADER="${baseline}")
foreach(other ${other_architectures})
  set_source_files_properties(${dir}/cpu_isa_${other}.cpp PROPERTIES HEADER_FILE_ONLY ON)
endforeach()

if(GLIA_TESTS AND NOT GLIA_SANITIZE)
  foreach(isa ${isas})
    add_test(NAME kernels.isa_symbols_${isa}
             COMMAND ${CMAKE_COMMAND} -D NM=${CMAKE_NM} -D ISA=${isa} "-DOBJECTS=$<TARGET_OBJECTS:glia_kernels_${isa}>"
                     -P ${CMAKE_SOURCE_DIR}/src/kernels/isa_symbols.cmake)
    set_tests_properties(kernels.isa_symbols_${isa} PROPERTIES LABELS kernels)
  endforeach()
endif()
