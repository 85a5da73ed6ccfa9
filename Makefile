# Foyer: `make install` and `make test` are all the set-up there is.
# Everything made goes to build/ and .cache/, which git ignores.

SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null | sed 's/^v//' | grep -E '^[0-9]+\.[0-9]+' || echo 0.1.0-dev)
# SOURCE_DATE_EPOCH makes a build repeatable; the default is the last commit.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
BUILT   := $(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ)
export GOTOOLCHAIN := $(shell .ci/toolchain 2>/dev/null || echo local)
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION) -X main.built=$(BUILT)'

.PHONY: install build test test-quick lint storages cross clients e2e lab show-foundation show-kinto show-certificates show-one-click show-mend show-mend2 show-mend3 show-ground show-ground2 show-backups show-health bench bench-quick fuzz deps clean

build: build/foyer

.PHONY: build/foyer
build/foyer:
	@mkdir -p build
	$(GOBUILD) -o build/foyer ./cmd/foyer

# Builds, then installs: on a terminal it asks, without one it answers yes.
install: build/foyer
	@.ci/install build/foyer

# Everything there is to test, after installing what the tests need.
test: deps
	@.ci/test all

# What needs neither root nor network.
test-quick:
	go test -race ./...

lint storages cross clients e2e lab show-foundation show-kinto show-certificates show-one-click show-mend show-mend2 show-mend3 show-ground show-ground2 show-backups show-health: deps
	@.ci/test $@

# Measures Foyer beside its yardsticks and writes docs/benchmarks.md.
bench: deps
	@.ci/test bench

# The same in a minute, printed only.
bench-quick: deps
	@.ci/test bench_quick && cat .cache/bench.md

# Every fuzz target for a minute.
fuzz: deps
	@.ci/test fuzz 60

deps:
	@.ci/deps

clean:
	rm -rf build node_modules
