# Everything that a machine with Rust and make needs: `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
SERVICES := tests/services
STEP := $(SERVICES)/step.sh
WITH := $(SERVICES)/with-services.sh
# What `make test` installs.
COMPONENTS ?= tools rabbitmq redis postgres ldap promtool interop chromium
# More for cargo test, such as ARGS='-- joiner'.
ARGS ?=
# Plays of `make simulate`.
SEEDS ?= 2000
# Pinned: a newer one may ask for a newer compiler. Unoptimised, it is built in a fraction of the time.
DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny
CYCLONEDX_VERSION := 0.5.9
CYCLONEDX := target/tools/bin/cargo-cyclonedx

export STEP_TIMES := $(CURDIR)/target/step-times.txt

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## install what is missing, start services, run every check and test, leave nothing running
	@mkdir -p target && : > $(STEP_TIMES)
	@$(STEP) "install" $(SERVICES)/install.sh $(COMPONENTS)
	@$(STEP) "format" $(CARGO) fmt --all --check
	@$(STEP) "lint" $(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@$(STEP) "licences" $(MAKE) --no-print-directory deny
	@$(STEP) "build" $(CARGO) build --workspace --locked
	@$(STEP) "build tests" $(CARGO) test --workspace --locked --no-run
	@$(STEP) "service runner" python3 -B $(SERVICES)/test_runner.py
	@$(STEP) "tests" $(WITH) -- $(CARGO) test --workspace --locked --no-fail-fast $(ARGS)
	@$(STEP) --summary

.PHONY: build
build: ## the binary, optimised: target/release/scimfleet
	$(CARGO) build --release --locked

.PHONY: release
release: $(CYCLONEDX) build ## the binary, optimised, from the locked crates, with its bill of materials (CycloneDX) beside it
	$(CYCLONEDX) cyclonedx --manifest-path crates/cli/Cargo.toml --format json --spec-version 1.5 --override-filename scimfleet.sbom
	@# Where it was built is nobody's business, and would make each build's differ.
	sed 's#file://$(CURDIR)/##g' crates/cli/scimfleet.sbom.json > target/release/scimfleet.sbom.json
	find crates tests -name scimfleet.sbom.json -delete

$(CYCLONEDX):
	$(CARGO) install cargo-cyclonedx --version $(CYCLONEDX_VERSION) --locked --profile dev --root target/tools --target-dir target/tools/build
	rm -rf target/tools/build

.PHONY: faults
faults: ## every scenario of the fault suite on real services, then its table; about half an hour
	@$(SERVICES)/install.sh rabbitmq redis postgres
	@$(CARGO) build --workspace --locked
	@$(WITH) -- target/debug/scimfleet-faults all

.PHONY: faults-planted
faults-planted: ## plant each of three defects and show that the fault suite turns red for it
	@$(SERVICES)/install.sh rabbitmq redis postgres
	@$(WITH) -- tests/faults/planted.sh

.PHONY: simulate
simulate: ## play seeds in virtual time under random faults, SEEDS=2000, then ten thousand interleavings of waits
	@$(CARGO) build --locked --release -p scimfleet-simulation
	target/release/simulation --seeds $(SEEDS) --all
	target/release/simulation --seeds 10000 --all --family waits

.PHONY: demo
demo: ## everything embedded, with sample data and a sample provider
	$(CARGO) run --release --locked -- demo

.PHONY: images
images: ## the pictures in docs/images, made anew
	$(CARGO) build --workspace --locked
	SCIMFLEET_IMAGES=$(CURDIR)/docs/images $(CARGO) test --locked -p scimfleet-tests -- a_person_mends

.PHONY: services
services: ## a shell with RabbitMQ, PostgreSQL and Redis, ended when you leave it
	@$(SERVICES)/install.sh rabbitmq redis postgres
	@$(WITH) -- $${SHELL:-bash}

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt --all

.PHONY: lint
lint: ## formatting and lints, without tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: deny
deny: $(DENY) ## licences, sources and banned crates
	$(DENY) --locked check licenses bans sources

$(DENY):
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --profile dev --root target/tools --target-dir target/tools/build
	rm -rf target/tools/build

.PHONY: clean
clean: ## remove what was built
	$(CARGO) clean
