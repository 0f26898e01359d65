# Puts the fetched toolchain first on PATH. Sourced by the Makefile and the scripts: `. scripts/env.sh` in the checkout.
PATH="$PWD/.toolchain/node/bin:$PWD/.toolchain/rust/bin:$PATH"
export PATH
