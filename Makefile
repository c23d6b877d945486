# Every target explains itself with `make help`.

# What targets take from the command line; it reaches the shell as it is.
export FILE TEE FUZZTIME JSON

# The state of the version control system must not end up in what is built.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## Prints this list.
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1: \2/p' Makefile | \
		awk -F': ' '{ printf "%s%-14s%s\n", "  ", substr($$1, 3), substr($$0, length($$1) + 3) }'

run: file build ## Seals and opens a real file in an enclave and shows how fast (FILE=… one of yours, TEE=… instead of the strongest), then serves HTTPS from one.
	@bin/secgear run $${TEE:+--tee "$$TEE"} ./examples/vault -- $${FILE:+--file "$$FILE"}
	@bin/secgear run $${TEE:+--tee "$$TEE"} ./examples/https

# What is wrong with FILE is told before anything is built.
file:
	@test -z "$$FILE" || { test -f "$$FILE" && test -r "$$FILE"; } || \
		{ echo "make run: FILE=$$FILE is no file that can be read" >&2; exit 1; }

build: ## Builds the command bin/secgear.
	@scripts/setup
	@CGO_ENABLED=0 go build -trimpath -o bin/secgear ./cmd/secgear

test: ## Runs all tests and checks: formatting, vet, staticcheck, cross-builds, race detector, leftovers.
	@scripts/setup cgo
	@scripts/setup tees || echo 'test: goes on without it; what needs it is skipped, and says so'
	@scripts/setup vm || echo 'test: goes on without it; what needs it is skipped, and says so'
	@scripts/lint
	@scripts/cross
	@scripts/leftovers scripts/test

test-tees: ## Runs the conformance suite for each TEE and architecture and prints a table (JSON=1: JSON lines).
	@scripts/setup tees
	@scripts/setup vm
	@scripts/test-emulated >&2
	@scripts/test-tees

test-nitro: ## Builds an emulation of Nitro Enclaves (once, some minutes), runs the backend's tests and the conformance suite in it.
	@scripts/setup nitro
	@SECGEAR_TEST_TEES=nitro go test -count=1 -timeout 60m ./sdk/internal/vsock ./sdk/internal/ioctl ./sdk/tee/nitro/...
	@scripts/test-tees ./sdk/tee/nitro

lint: ## Checks formatting, go vet and staticcheck.
	@scripts/setup
	@scripts/lint

fmt: ## Formats all Go files.
	@scripts/setup
	@scripts/tool gofumpt -w .

generate: build ## Regenerates the stubs of all contracts.
	@for module in $$(scripts/modules); do \
		PATH="$(CURDIR)/bin:$$PATH" go generate -C "$$module" ./... || exit; \
	done

linked: ## Accepts what enclaves link now: rewrites their linked.txt.
	@scripts/setup
	@go test -count=1 -run '^TestLinked$$' -v . -update | grep -v '^=== '

bench-calls: ## Measures calls against a C program, a Unix socket and gRPC: one JSON object per line.
	@scripts/setup cgo
	@cd bench && go run ./calls

bench-tees: ## Compares the TEEs that are here with the sandbox: one JSON object per line (TEE=… one alone).
	@scripts/setup
	@scripts/setup vm || echo 'bench-tees: goes on without it' >&2
	@cd bench && go run ./tees $${TEE:+-tee "$$TEE"}

fuzz: ## Runs every fuzz target for FUZZTIME=10m each, up to the first finding.
	@scripts/setup
	@scripts/fuzz

fuzz-short: ## Runs every fuzz target for three seconds.
	@scripts/setup
	@FUZZTIME=3s scripts/fuzz

install-c: ## Builds and installs the C library for attaching to enclaves (PREFIX, DESTDIR, CC, CFLAGS).
	@scripts/install-c

clean: ## Removes what was built here.
	@rm -rf bin out
	@find . -name '*.sgi' -not -path '*/testdata/*' -delete

.PHONY: help run file build test test-tees test-nitro lint fmt generate linked bench-calls bench-tees fuzz fuzz-short install-c clean
