# SQLite's amalgamation, placed by scripts/bootstrap; Debian's is older than the WAL repair that 3.51.3 brought.
set(sqlite_dir ${CMAKE_SOURCE_DIR}/.toolchain/sqlite)
if(NOT EXISTS ${sqlite_dir}/sqlite3.c)
  message(FATAL_ERROR "SQLite's source is not at .toolchain/sqlite/sqlite3.c: run scripts/bootstrap")
endif()
add_library(glia_sqlite STATIC ${sqlite_dir}/sqlite3.c)
target_include_directories(glia_sqlite SYSTEM PUBLIC ${sqlite_dir})
target_compile_options(glia_sqlite PRIVATE -w -O2 -fno-sanitize=all)  # not ours to check, and slow to build so
target_compile_definitions(glia_sqlite PRIVATE
  SQLITE_THREADSAFE=1 SQLITE_DQS=0 SQLITE_OMIT_LOAD_EXTENSION SQLITE_OMIT_DEPRECATED SQLITE_OMIT_SHARED_CACHE
  SQLITE_DEFAULT_MEMSTATUS=0 SQLITE_DEFAULT_WAL_SYNCHRONOUS=2 SQLITE_LIKE_DOESNT_MATCH_BLOBS SQLITE_TEMP_STORE=2
  SQLITE_USE_ALLOCA SQLITE_MAX_EXPR_DEPTH=100)
target_link_libraries(glia_sqlite PRIVATE Threads::Threads)
target_link_libraries(glia_store PRIVATE glia_sqlite)
