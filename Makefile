# Foyer: `make install` and `make test` are all the set-up there is.
# Everything made goes to build/ and .cache/, which git ignores.

SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null | sed 's/^v//' | grep -E '^[0-9]+\.[0-9]+' || echo 0.1.0-dev)
# SOURCE_DATE_EPOCH makes a build repeatable; the default is the last commit.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
BUILT   := $(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ)
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION) -X main.built=$(BUILT)'

.PHONY: install build test test-quick lint cross show-foundation e2e clients deps clean

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

lint cross e2e clients show-foundation: deps
	@.ci/test $@

deps:
	@.ci/deps

clean:
	rm -rf build node_modules
