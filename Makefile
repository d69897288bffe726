# make build   bin/cepd, one static binary
# make test    every test, with the race detector
# make lint    gofmt, go vet, staticcheck
# make bench   cepd against its baselines, MQTT where mosquitto is: a table, and bench.out for benchstat
# make bench-peers     cepd and, in turn with it, Flink CEP, Siddhi and eKuiper, where they can be fetched: the table of docs/performance.md, and peers.out for benchstat
# make bench-packages  the benchmarks of every package
# make fuzz    every fuzz target for FUZZTIME (default 30s)
# make cover   test coverage by function
# make chaos   kill -9 under load, ROUNDS times (default 200), and overload; needs mosquitto
# make zones   cron ticks at every change of the clock since 1970, in every zone
# make nab     NAB=DIR: every detector over the Numenta Anomaly Benchmark in DIR
# make stories many random stories and streams for the engine and its patterns, of which 'make test' tells a few
# make sim     10,000 lives of a daemon whose disk, power and sinks fail (SEEDS=N); SEED=N lives through one and tells it
# make demo    build, then 'cepd try'

GO       ?= go
FUZZTIME ?= 30s
SEEDS    ?= 10000
BENCH    ?= .
COUNT    ?= 1
ROUNDS   ?= 200

# The version is what git says of the commit; without git or a tag it is the
# commit's short hash or "unknown", which is no reason to fail.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: all build test lint bench bench-peers bench-packages fuzz cover chaos zones demo clean nab detectors-doc sim stories

all: lint build test

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/cepd ./cmd/cepd

test:
	$(GO) test -race ./...

lint:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -count $(COUNT) -benchtime 3x -timeout 60m ./bench | tee bench.out
	@echo; $(GO) run ./bench/table < bench.out

bench-peers: COUNT = 5
bench-peers:
	@mkdir -p bench/peers/target
	$(GO) build -o bench/peers/target/peers ./bench/peers
	./bench/peers/target/peers -count $(COUNT) -o peers.out

bench-packages:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

# The go command fuzzes one target at a time, so each is named.
fuzz:
	@set -e; for dir in $$($(GO) list -f '{{.Dir}}' ./...); do \
		for target in $$(cat $$dir/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do \
			echo "fuzz $$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$dir; \
		done; \
	done

cover:
	$(GO) test -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out

chaos:
	$(GO) test -count 1 -v -timeout 2h ./internal/chaos -rounds $(ROUNDS)

zones:
	$(GO) test -run TestChangesOfTheClock -v ./rules -all-years

nab:
	@test -n "$(NAB)" || { echo "say where the benchmark is: make nab NAB=DIR (with data/ and labels/ in it)"; exit 1; }
	$(GO) test -v -count 1 -run TestBenchmark ./internal/nab -nab "$(abspath $(NAB))"

# The manual of the detectors is made of their descriptions.
detectors-doc:
	$(GO) test -count 1 -run 'TestManual|TestPictures' ./internal/detectrun -rewrite

stories:
	$(GO) test -count 1 ./engine ./nfa -many

sim:
	$(GO) test -count 1 -timeout 60m -run TestLives -v ./internal/sim $(if $(SEED),-seed $(SEED),-seeds $(SEEDS))

demo: build
	./bin/cepd try

clean:
	rm -rf bin cover.out
