# Every target brings what it needs first; see tools/. Nothing here has logic of its own.
.DEFAULT_GOAL := help
.PHONY: help up down build check test bench generate clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

up: ## deploy the quickstart with Pulumi and run code in its sandbox
	@bash tools/up.sh

down: ## remove the quickstart and stop the sandbox host
	@bash tools/down.sh

build: ## compile everything into dist/
	@bash tools/build.sh

check: ## types, lint, import rules, generated files (seconds)
	@bash tools/check.sh

test: ## check, then every test; ends with `N passed, N failed`
	@bash tools/test.sh $(ARGS)

bench: ## measure; tables and bench/results/latest.jsonl
	@bash tools/bench.sh $(ARGS)

generate: ## write the generated files anew
	@bash tools/generate.sh

clean: ## remove what was built in this checkout
	@bash tools/clean.sh
