# Everything that is done to this repository by hand or in CI has a target here.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

GO       ?= go
NPM      ?= npm
PKGS     ?= ./...
FUZZTIME ?= 5s
BENCH    ?= .
COUNT    ?= 6
SOAK     ?= 10m
TAIL     ?= 20s

# Tools are built once per version from tools/go.mod into bin/.
BIN       := bin
version    = $(shell awk '$$1 == "$(1)" { print $$2 }' tools/go.mod)
LINT      := $(BIN)/golangci-lint-$(call version,github.com/golangci/golangci-lint/v2)
BENCHSTAT := $(BIN)/benchstat-$(call version,golang.org/x/perf)
SBOM      := $(BIN)/cyclonedx-gomod-$(call version,github.com/CycloneDX/cyclonedx-gomod)
VULNCHECK := $(BIN)/govulncheck-$(call version,golang.org/x/vuln)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(BIN)/.modules $(BIN)/.surreal $(BIN)/.console $(BIN)/.sdk $(BIN)/.packages $(BIN)/litewitness $(BIN)/omniwitness $(BIN)/versitygw ## fetch what the tests need; does nothing the second time

$(BIN)/.modules: go.mod go.sum
	@mkdir -p $(BIN)
	$(GO) mod download
	@touch $@

# SurrealDB's engine of two versions, and what an older glibc lacks for one of
# them (dev/surreal/README.md).
$(BIN)/.surreal: dev/surreal/package.json dev/surreal/package-lock.json dev/surreal/shim.c
	@mkdir -p $(BIN)
	cd dev/surreal && $(NPM) ci
	if dev/surreal/wants-shim; then $(CC) -O2 -shared -fPIC -o $(BIN)/isoc23.so dev/surreal/shim.c; fi
	@touch $@

# Preact, which is part of the console's page, and what its tests need.
$(BIN)/.console: internal/console/app/package.json internal/console/app/package-lock.json
	@mkdir -p $(BIN)
	cd internal/console/app && $(NPM) ci
	@touch $@

# What checks, measures and tests the client for browsers and Node.
$(BIN)/.sdk: sdk/js/package.json sdk/js/package-lock.json
	@mkdir -p $(BIN)
	cd sdk/js && $(NPM) ci
	@touch $@

# Programs of the system's packages, where they are not there yet.
$(BIN)/.packages: dev/install-packages
	@mkdir -p $(BIN)
	dev/install-packages
	@touch $@

# Two witnesses of other authors, which the tests start (docs/adr/0022).
LITEWITNESS := filippo.io/torchwood/cmd/litewitness@v0.6.1
OMNIWITNESS := github.com/transparency-dev/witness/cmd/omniwitness@v0.0.0-20260720115447-2e1c6971d19e

$(BIN)/litewitness: Makefile
	GOBIN=$(CURDIR)/$(BIN) CGO_ENABLED=0 $(GO) install $(LITEWITNESS)
	@touch $@

$(BIN)/omniwitness: Makefile
	GOBIN=$(CURDIR)/$(BIN) CGO_ENABLED=0 $(GO) install $(OMNIWITNESS)
	@touch $@

# An S3-compatible server, which the tests start (docs/adr/0028).
VERSITYGW := github.com/versity/versitygw/cmd/versitygw@v1.8.0

$(BIN)/versitygw: Makefile
	GOBIN=$(CURDIR)/$(BIN) CGO_ENABLED=0 $(GO) install $(VERSITYGW)
	@touch $@

.PHONY: build
build: ## build the binary into bin/; needs Go alone
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ ./cmd/...

# The version of a release: the tag of the commit that is checked out, unless given.
# It is not the default of VERSION, because candidate has its own.
TAG = $(or $(VERSION),$(shell git describe --tags --exact-match 2>/dev/null))

.PHONY: release
release: $(SBOM) ## build the archives of VERSION (the tag) into dist/VERSION, with SBOMs and SHA256SUMS; PLATFORMS selects
	SBOM=$(CURDIR)/$(SBOM) GO=$(GO) dev/release "$(TAG)" "dist/$(TAG)"

.PHONY: release-check
release-check: $(SBOM) ## build a release twice in different directories and compare; PLATFORMS selects
	SBOM=$(CURDIR)/$(SBOM) GO=$(GO) dev/release-check "$(or $(TAG),v0.0.0-check)"

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities; says so if their database cannot be reached
	dev/vulncheck $(VULNCHECK)

# The longest packages come first, so that none of them runs alone at the end.
FIRST := $(if $(filter ./...,$(PKGS)),$(addprefix ./internal/,e2e store/surreal copy gates httpapi conformance) ./cmd/gotong)

.PHONY: test
test: install ## install what the tests need and run them all
	dev/changelog --check
	cd dev/surreal && node --test >$(CURDIR)/$(BIN)/bridge.out 2>&1 || { cat $(CURDIR)/$(BIN)/bridge.out; exit 1; }
	$(MAKE) --no-print-directory sdk-test
	sdk/js/node_modules/.bin/tsc -p internal/console/app
	$(GO) -C internal/console/dev test -count 1 -timeout 30m ./...
	$(GO) test -timeout 30m $(TESTFLAGS) $(FIRST) $(PKGS)

.PHONY: sdk
sdk: install ## build the client for browsers and Node into sdk/js/dist
	cd sdk/js && $(NPM) run --silent build

# The client's tests start the server.
.PHONY: sdk-test
sdk-test: install ## check, measure and test the client for browsers and Node
	$(GO) build -o $(BIN)/ ./cmd/gotong
	cd sdk/js && $(NPM) run --silent build
	cd sdk/js && $(NPM) run --silent check
	cd sdk/js && $(NPM) run --silent test >$(CURDIR)/$(BIN)/sdk.out 2>&1 || { cat $(CURDIR)/$(BIN)/sdk.out; exit 1; }
	cd sdk/js && $(NPM) run --silent build
	$(BIN)/gotong conformance --client 'node sdk/js/conformance/adapter.mjs' >$(BIN)/conformance-js.out 2>&1 || { cat $(BIN)/conformance-js.out; exit 1; }
	@tail -n 1 $(BIN)/conformance-js.out

.PHONY: engines
engines: install ## the tests of who may read what, end to end, on SurrealDB 3 and 2 with Redis, and on PostgreSQL; its tail for TAIL (20s)
	@for engine in 3 2 postgres; do \
		echo "engine $$engine"; \
		GOTONG_E2E_ENGINE=$$engine $(GO) test -short -count 1 -timeout 30m -run '^(TestRemoval|TestRemovalWaits|TestGone|TestSnapshotLaw|TestRoleWalk|TestVotesAreHidden|TestCanariesStaySilent)$$' ./internal/e2e; \
	done
	$(GO) test -count 1 -run '^TestTail$$' -v ./internal/store/postgres -tail $(TAIL)

# Without the option, each process of a test, and each that one starts, sleeps for a
# second before it ends. SQLite, which is translated from C, is left out of the
# detector: it takes four times as long, and its memory is its own. So are regular
# expressions, compression and the parser of command lines, in which a test of a command
# spends most of its time: they work on what one goroutine hands them, and what they share
# inside is not ours. So are the rules of the kinds, and the tests of pages and of
# imports: nothing in them starts a goroutine, so the detector can find nothing.
ONEGOROUTINE := /internal/community/|/internal/arch$$|/docs$$
UNWATCHED    := $(patsubst %,-gcflags='%=-race=false',modernc.org/... regexp/... compress/flate github.com/alecthomas/kong)

.PHONY: race
race: install ## run the tests under the race detector (needs a C compiler)
	GORACE="$(GORACE) atexit_sleep_ms=50" CGO_ENABLED=1 $(GO) test -race $(UNWATCHED) -timeout 30m $(TESTFLAGS) $(FIRST) $$($(GO) list $(PKGS) | grep -vE '$(ONEGOROUTINE)')

.PHONY: vet
vet: install ## go vet
	$(GO) vet $(PKGS)

.PHONY: lint
lint: install $(LINT) ## golangci-lint, with the pinned version
	$(LINT) run $(PKGS)

.PHONY: fmt
fmt: $(LINT) ## format the Go files
	$(LINT) fmt $(PKGS)

.PHONY: tidy-check
tidy-check: install ## fail if go.mod or go.sum is not what the code needs
	$(GO) mod tidy -diff
	$(GO) -C tools mod tidy -diff

.PHONY: generate
generate: install ## write again what is generated from the code
	$(GO) generate $(PKGS)
	cd sdk/js && $(NPM) run --silent types

.PHONY: screenshots
screenshots: install ## write the pictures of the console in docs/images: in Chromium, with the typeface Inter
	@mkdir -p docs/images
	GOTONG_SCREENSHOTS=$(CURDIR)/docs/images $(GO) -C internal/console/dev test -count 1 -run '^TestScreenshots$$|^TestConsole$$/^(concerns|answers|moderation)$$' ./...

.PHONY: changelog
changelog: ## move the fragments of changes/ into CHANGELOG.md
	dev/changelog

.PHONY: check
check: tidy-check vet lint test ## what to run before a commit

.PHONY: fuzz
fuzz: install ## run each fuzz target for FUZZTIME (5s, or 30000x for a count)
	@cache=$$($(GO) env GOCACHE)/fuzz/$$($(GO) list -m); \
	for dir in $$(grep -rlE '^func Fuzz' --include='*_test.go' --exclude-dir=node_modules . | xargs -n1 dirname | sort -u); do \
		$(GO) test -vet=off -c -fuzz . -o $(BIN)/fuzz.test $$dir; \
		for target in $$(sed -nE 's/^func (Fuzz\w*)\(.*/\1/p' $$dir/*_test.go | sort); do \
			echo "fuzz $$dir $$target"; \
			( cd $$dir && $(CURDIR)/$(BIN)/fuzz.test -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzminimizetime 100x -test.fuzzcachedir "$$cache/$$dir" ); \
		done; \
	done

.PHONY: bench
bench: install $(BENCHSTAT) ## run the benchmarks COUNT (6) times and summarise them
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKGS) | tee $(BIN)/bench.txt
	$(BENCHSTAT) $(BIN)/bench.txt

.PHONY: gates-reports
gates-reports: install ## write docs/gates anew: gotong gates on both engines of dev/surreal and on PostgreSQL
	$(GO) test -count 1 -run '^TestGatesReports$$' -v ./cmd/gotong -gates-reports $(CURDIR)/docs/gates

# How long gates-memory tries at most, on each engine.
MEMORYTIME ?= 60s

.PHONY: gates-memory
gates-memory: install ## repeat the probes of several nodes on the engine mem until it loses a write
	$(GO) test -count 1 -run '^TestMemory$$' -v ./internal/gates -memory $(MEMORYTIME)

.PHONY: candidate
candidate: install ## what every release candidate must pass; VERSION names the report in docs/candidate
	$(GO) run ./dev/candidate $(if $(VERSION),-version $(VERSION))

.PHONY: soak
soak: install ## three nodes under troubles, and the tail of PostgreSQL, for SOAK (10m) each; 20 power cuts of PostgreSQL (as root); 50,000 events to webhooks of a server that is killed 20 times; 20 restores; 10,000 uploads that are cut
	GOTONG_SOAK=$(SOAK) $(GO) test ./internal/e2e -run 'TestSoak$$|TestFailover$$|TestWebhooksLoseNothing$$' -v -count 1 -timeout 60m
	$(GO) test ./cmd/gotong -run 'TestBackupUnderLoad$$' -restores 20 -v -count 1 -timeout 20m
	$(GO) test ./internal/store/postgres -run 'TestTail$$|TestPowerCut' -tail $(SOAK) -powercuts 20 -v -count 1 -timeout 60m
	$(GO) test ./internal/httpapi/realtime -run 'TestDrainUnderLoad$$' -drained 500 -v -count 1
	GOTONG_SOAK=$(SOAK) $(GO) test ./internal/httpapi -run 'TestUploadsCutAtAnyOffsetAreWhole$$' -v -count 1 -timeout 60m

.PHONY: cover
cover: install ## test coverage over all packages, as bin/cover.html
	@mkdir -p $(BIN)
	$(GO) test -coverpkg $(PKGS) -coverprofile $(BIN)/cover.out $(PKGS)
	$(GO) tool cover -func $(BIN)/cover.out | tail -n 1
	$(GO) tool cover -html $(BIN)/cover.out -o $(BIN)/cover.html

.PHONY: clean
clean: ## remove bin/
	rm -rf $(BIN)

$(LINT): tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) -C tools build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BENCHSTAT): tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) -C tools build -o ../$@ golang.org/x/perf/cmd/benchstat

$(SBOM): tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) -C tools build -o ../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

$(VULNCHECK): tools/go.mod tools/go.sum
	CGO_ENABLED=0 $(GO) -C tools build -o ../$@ golang.org/x/vuln/cmd/govulncheck
