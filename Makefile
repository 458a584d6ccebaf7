# What a developer runs; CI runs `make lint` and `make test` through .ci/run. Root is needed for demo, test and bench.
# One build for everything: `--workspace --all-targets` always, because another selection of packages has another set of
# features and would compile the AWS SDK (8 GB, minutes) again.
HOST   := $(shell rustc -vV | sed -n 's/^host: //p')
BIN    := target/$(HOST)/debug
# A step is one event that a node handles: so many before a run begins to end, which takes another hundred at least: every
# seed handles more than 1,000.
SEEDS  ?= 10000
STEPS  ?= 900
STEP   := ./.ci/step

.PHONY: help demo test lint sim bench build tools fmt clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo            two nodes, 40 pods, the Internet, real packets; BREAK=rule|group|sourcecheck|snat|leak breaks one thing
demo: build
	@$(BIN)/demo $(if $(BREAK),--break $(BREAK))

## make test            unit, property, wire, namespace, containerd and kill -9 tests, then the kill sweep and the simulator
test: build
	@$(STEP) "tests" cargo test --workspace
	@$(STEP) "kill sweep" $(BIN)/sim --sweep
	@$(STEP) "simulator" $(BIN)/sim --seeds $(SEEDS) --steps $(STEPS)

## make lint            fmt, clippy, doc, licences and duplicates, arrows, sizes, generated files, manifest
lint: tools
	@$(STEP) "format" cargo fmt --all --check
	@$(STEP) "clippy" cargo clippy --workspace --all-targets -- -D warnings
	@$(STEP) "doc" env RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items
	@$(STEP) "arrows" ./.ci/arrows
	@$(STEP) "sizes" ./.ci/sizes
	@$(STEP) "licences and duplicates" ./.ci/deny
	@$(STEP) "instance limits" ./.ci/limits
	@$(STEP) "manifest" ./.ci/manifest

## make sim SEEDS=n     the simulator alone; SEED=s replays one seed, PLAN=file a plan
sim: build
	@$(BIN)/sim $(if $(PLAN),--plan $(PLAN) --trace,$(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS))) --steps $(STEPS)

## make bench           ADD and DEL against a minimal netlink program, sizes, memory; release profile, prints ratios
bench: tools
	@$(STEP) "plugin, release" cargo build --profile plugin -p cni-plugin
	@$(STEP) "daemon and laboratory, release" cargo build --release --workspace --bins
	@target/$(HOST)/release/bench --plugin target/$(HOST)/plugin/aws-cni --bin-dir target/$(HOST)/release

build: tools
	@$(STEP) "build" cargo build --workspace --all-targets

tools:
	@./.ci/tools

fmt:
	cargo fmt --all

clean:
	cargo clean
