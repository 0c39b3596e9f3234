# What one does here. `make` alone says what there is.
#
# Everything goes through .ci/cargo, which installs what is missing (and says so), builds
# RocksDB once, and keeps the results outside the checkout.

export CARGO_TARGET_DIR ?= $(HOME)/.cache/thalweg/target
CARGO := .ci/cargo
# CI builds exactly what Cargo.lock says and reports every failure, not only the first.
LOCKED := $(if $(CI),--locked)
KEEP_GOING := $(if $(CI),--no-fail-fast)

# The dev profile shares its builds with `make test` and so starts soonest; its dependencies
# are optimised all the same. For figures use PROFILE=release, as `make bench` does.
PROFILE ?= dev
BIN := $(CARGO_TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help dev test soak simulate simulate-seed chaos models planted crash verify fmt-check layering clippy docs fix bench install

help: ## say what there is
	@echo "Thalweg: make TARGET [ARGS=...] [PROFILE=release]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo
	@echo "First time here: \`make dev\`, then the tour in README.md from a second terminal."
	@echo "One crate at a time: .ci/cargo test -p thalweg-wal"
	@echo "Builds are kept in $(CARGO_TARGET_DIR)"

dev: ## build and start a three-node cluster in one process (ARGS="--nodes 1")
	$(CARGO) build $(LOCKED) --profile $(PROFILE) -p thalweg
	@echo 'In a second terminal: export PATH="$(BIN):$$PATH"'
	@exec $(BIN)/thalweg dev $(ARGS)

test: ## run every test, after five hours of simulated clusters
	@$(if $(ARGS),,$(MAKE) --no-print-directory simulate HOURS=5 MINUTES=10 ARGS="--twice 3 --from 5000")
	$(CARGO) test $(LOCKED) $(KEEP_GOING) --workspace $(ARGS)

soak: ## run the long versions of the system tests: kills, reshards, pauses, in a release build
	SOAK=1 $(CARGO) test $(LOCKED) --release -p thalweg-system-tests $(ARGS) -- --nocapture --test-threads=1

planted: ## plant one bug after the other and see who notices: tests, simulation, crash suite (ARGS="--only NAME,NAME --layers simulation")
	$(CARGO) run $(LOCKED) -p thalweg-planted -- --write $(ARGS)

models: ## explore the protocol models, with larger bounds than `make test` (ARGS=--paths shows how bugs show)
	$(CARGO) build $(LOCKED) --release -p thalweg-models
	@$(CARGO_TARGET_DIR)/release/thalweg-models --long $(ARGS)

MINUTES ?=
SCENARIO ?= everything
SEED ?= $(shell date +%s)
chaos: ## real servers under load and faults, judged and drawn (MINUTES=20 SCENARIO=everything SEED=7)
	$(CARGO) build $(LOCKED) --release -p thalweg -p thalweg-chaos
	@$(CARGO_TARGET_DIR)/release/thalweg-chaos run chaos/scenarios/$(SCENARIO).toml \
		--seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

# Own profile, own folder: nothing else is built anew because of it. One process a seed, one a core.
SIMULATE := $(CARGO_TARGET_DIR)/simulation/thalweg-simulate
HOURS ?=
SEEDS ?=
simulate: ## simulate whole clusters under faults, seed by seed (HOURS=10 or SEEDS=200, MINUTES=5)
	$(CARGO) build $(LOCKED) --profile simulation -p thalweg-simulation
	@$(SIMULATE) sweep --regressions chaos/simulation/seeds.txt $(if $(HOURS),--hours $(HOURS)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

simulate-seed: ## simulate one seed, or shrink it (ARGS="--seed 17 --trace trace.txt", ARGS="shrink --seed 17")
	$(CARGO) build $(LOCKED) --profile simulation -p thalweg-simulation
	@$(SIMULATE) $(ARGS)

verify: fmt-check layering clippy docs ## check format, layering, lints and docs; changes nothing

# --locked here always: a check writes nothing, Cargo.lock neither.
fmt-check:
	$(CARGO) fmt --all --check

layering:
	$(CARGO) test --locked -p thalweg-layering

clippy:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

# Private items are documented too: module docs point at them.
docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

fix: ## format, and apply what clippy can fix by itself
	$(CARGO) clippy --fix --allow-dirty --allow-staged --workspace --all-targets
	$(CARGO) fmt --all

bench: ## measure a three-node cluster on this machine (ARGS="produce --help"; SDKs as load: --client rust, java)
	$(CARGO) build $(LOCKED) --release -p thalweg
	@.ci/bench $(CARGO_TARGET_DIR)/release/thalweg $(ARGS)

CUTS ?= 200
CORRUPTIONS ?= 500
crash: ## cut the power under a node's log, damage its files, break its disk (CUTS=200 CORRUPTIONS=500)
	$(CARGO) build $(LOCKED) -p thalweg-crash
	@$(CARGO_TARGET_DIR)/debug/thalweg-crash --cuts $(CUTS) --corruptions $(CORRUPTIONS) $(ARGS)

install: ## build for release and put `thalweg` into cargo's bin folder
	$(CARGO) install --locked --path crates/thalweg
