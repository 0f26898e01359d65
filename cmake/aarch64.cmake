# Cross-compiles for aarch64 Linux on Debian, and runs the tests under emulation. scripts/bootstrap-aarch64 brings the
# compiler, the emulator and the sysroot named here.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(MOLD OFF)  # Debian's cross compiler looks for no other linker than its own

# Debian's cross packages (the C and C++ libraries), and beside them the arm64 packages of the other libraries.
get_filename_component(glia_aarch64 ${CMAKE_CURRENT_LIST_DIR}/../.toolchain/aarch64 ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH ${glia_aarch64}/sysroot /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Beside its own libraries, qemu must find libc where the cross packages put it.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)

# rust/text (src/text/room.cmake)
set(GLIA_RUST_TARGET aarch64-unknown-linux-gnu)
set(GLIA_RUST_FLAGS "--sysroot=${glia_aarch64}/rust")
set(GLIA_RUST_ENV
  RUSTC=/usr/bin/rustc
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
  CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc)
