# One command each. Every target first brings what is missing (scripts/bootstrap); a second run starts in seconds.
SHELL := /bin/sh
JOBS ?= $(shell nproc)
BUILD := build
ENV := . scripts/env.sh &&

.PHONY: help bootstrap build demo serve test test-san test-long test-aarch64 bench fmt lint generate package install uninstall clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap:
	@scripts/bootstrap

build: bootstrap  ## build glia (release) and the npm package
	@$(ENV) scripts/build $(BUILD) glia
	@$(ENV) scripts/npm-ready npm/glia-dev

demo: build  ## run the example Worker on real workerd against a real model, call every route, exit
	@$(ENV) scripts/npm-ready examples/chat
	@$(ENV) node scripts/demo.mjs

serve: build  ## serve on http://127.0.0.1:7843
	@$(BUILD)/apps/glia/glia serve

test: bootstrap  ## the suite: C++, parsers under sanitizers, Rust, npm, end to end on workerd
	@$(ENV) scripts/test

test-san: bootstrap  ## every C++ test under ASan+UBSan, then the threaded ones under TSan
	@$(ENV) scripts/test-san

test-long: bootstrap  ## kills, soaks, mutants: what takes too long for every change
	@$(ENV) scripts/test-long

test-aarch64: bootstrap  ## cross-build for aarch64, kernels and golden tests under emulation
	@$(ENV) scripts/test-aarch64

bench: bootstrap  ## side by side with the peers; one line a comparison, a CSV and what it means in bench/SPEED.md
	@$(ENV) bench/run

fmt:  ## format C++, Rust and TypeScript in place
	@$(ENV) scripts/fmt

lint: bootstrap  ## formats, clang-tidy, clippy, tsc, generated files
	@$(ENV) scripts/lint

generate: bootstrap  ## rewrite what is generated from catalog/
	@$(ENV) node scripts/generate.mjs

package: build  ## the npm packages glia-dev and glia-linux-x64, in build/package
	@$(ENV) scripts/package $(BUILD)

install: build  ## install glia and glia-dev under PREFIX (default /usr/local), in DESTDIR where set
	@$(ENV) DESTDIR=$(DESTDIR) BUILD=$(BUILD) scripts/install $(abspath $(or $(PREFIX),/usr/local))

uninstall:  ## take them away again
	@DESTDIR=$(DESTDIR) scripts/install --uninstall $(abspath $(or $(PREFIX),/usr/local))

clean:  ## remove what was built (the toolchain and the weights stay)
	@rm -rf build build-*
