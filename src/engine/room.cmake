# Sampling is the same numbers on every machine (no contraction), and its loops become vector code (no traps, no errno).
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/engine/token_weights.cpp PROPERTIES
  COMPILE_OPTIONS "-ffp-contract=off;-fno-trapping-math;-fno-math-errno")
