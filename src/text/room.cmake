# The Rust library behind this room, built by cargo from its lock file. Its target folder lies in the build directory,
# so that every build directory is complete by itself.
set(cargo cargo)
if(DEFINED ENV{CARGO})
  set(cargo $ENV{CARGO})
endif()
set(GLIA_CARGO ${cargo} CACHE STRING "The cargo that builds rust/text (1.88 or newer)")
set(glia_text_rs_dir ${CMAKE_SOURCE_DIR}/rust/text)
set(glia_text_rs_target ${CMAKE_BINARY_DIR}/rust)
# A toolchain file that crosses says for what, and with which flags and environment: GLIA_RUST_*.
set(glia_text_rs_library ${glia_text_rs_target}/release/libglia_text_rs.a)
set(glia_text_rs_arguments)
if(GLIA_RUST_TARGET)
  set(glia_text_rs_library ${glia_text_rs_target}/${GLIA_RUST_TARGET}/release/libglia_text_rs.a)
  set(glia_text_rs_arguments --target ${GLIA_RUST_TARGET})
endif()
file(GLOB glia_text_rs_sources CONFIGURE_DEPENDS ${glia_text_rs_dir}/src/*.rs)
# Nothing of where it was built stays in the library.
if(DEFINED ENV{CARGO_HOME})
  set(cargo_home $ENV{CARGO_HOME})
else()
  set(cargo_home $ENV{HOME}/.cargo)
endif()
set(rustflags "--remap-path-prefix=${cargo_home}/registry/src=crates --remap-path-prefix=${glia_text_rs_dir}=rust/text ${GLIA_RUST_FLAGS}")
string(STRIP "${rustflags}" rustflags)
add_custom_command(
  OUTPUT ${glia_text_rs_library}
  COMMAND ${CMAKE_COMMAND} -E env CARGO_TARGET_DIR=${glia_text_rs_target} "RUSTFLAGS=${rustflags}" ${GLIA_RUST_ENV}
          ${GLIA_CARGO} build ${glia_text_rs_arguments} --release --locked --lib --manifest-path ${glia_text_rs_dir}/Cargo.toml
  DEPENDS ${glia_text_rs_sources} ${glia_text_rs_dir}/Cargo.toml ${glia_text_rs_dir}/Cargo.lock
  COMMENT "cargo build rust/text"
  USES_TERMINAL
  VERBATIM)
add_custom_target(glia_text_rs_build DEPENDS ${glia_text_rs_library})
add_library(glia_text_rs STATIC IMPORTED)
set_target_properties(glia_text_rs PROPERTIES
  IMPORTED_LOCATION ${glia_text_rs_library}
  INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
add_dependencies(glia_text_rs glia_text_rs_build)
target_include_directories(glia_text PRIVATE ${glia_text_rs_dir}/include)
target_link_libraries(glia_text PRIVATE glia_text_rs)
