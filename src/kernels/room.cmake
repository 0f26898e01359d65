# The kernels under isa/ are one source for every instruction set: the room's own library compiles them for the
# baseline, and one object library per further set compiles them again with its flags, its SIMD header and its namespace.
# No contraction: what is fused is written as fma, so that results do not depend on the optimiser.
file(GLOB isa_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/isa/*.cpp)

set(isa_options -ffp-contract=off)
if(GLIA_SANITIZE MATCHES "address")
  # Thousands of inlined vector values make these two take minutes a file; reads and writes stay checked.
  list(APPEND isa_options -fno-sanitize-address-use-after-scope -fno-sanitize=undefined)
endif()
set_source_files_properties(${isa_sources} PROPERTIES COMPILE_OPTIONS "${isa_options}")
target_compile_definitions(glia_kernels PRIVATE GLIA_ISA=baseline GLIA_SIMD_HEADER="kernels/simd/baseline.h")

function(glia_kernels_isa isa)
  add_library(glia_kernels_${isa} OBJECT ${isa_sources})
  target_include_directories(glia_kernels_${isa} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(glia_kernels_${isa} PRIVATE GLIA_ISA=${isa} GLIA_SIMD_HEADER="kernels/simd/${isa}.h")
  glia_warnings(glia_kernels_${isa})
  target_compile_options(glia_kernels_${isa} PRIVATE ${ARGN})
  target_sources(glia_kernels PRIVATE $<TARGET_OBJECTS:glia_kernels_${isa}>)
endfunction()

glia_kernels_isa(avx2 -mavx2 -mfma -mf16c)
# GCC 12's AVX-512 intrinsics start from deliberately undefined registers and warn about them.
glia_kernels_isa(avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
                 -Wno-uninitialized -Wno-maybe-uninitialized)

if(GLIA_TESTS AND NOT GLIA_SANITIZE)
  foreach(isa avx2 avx512)
    add_test(NAME kernels.isa_symbols_${isa}
             COMMAND ${CMAKE_COMMAND} -D NM=${CMAKE_NM} -D ISA=${isa} "-DOBJECTS=$<TARGET_OBJECTS:glia_kernels_${isa}>"
                     -P ${CMAKE_SOURCE_DIR}/src/kernels/isa_symbols.cmake)
    set_tests_properties(kernels.isa_symbols_${isa} PROPERTIES LABELS kernels)
  endforeach()
endif()
