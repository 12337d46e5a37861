# Every target does its own set-up: a machine with Python >= 3.11, git and make is enough.
PYTHON ?= python3
REPO ?= .
VENV := .venv
BIN := $(VENV)/bin

# Trust the machine's own certificates, so that set-up also works behind a company's proxy.
export UV_SYSTEM_CERTS ?= 1
export UV_PYTHON_DOWNLOADS ?= never
export UV_NO_PROGRESS ?= 1

.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort

setup: $(VENV)/.ready ## Make .venv from uv.lock

$(VENV)/.ready: uv.lock pyproject.toml adapters/claude/pyproject.toml adapters/langgraph/pyproject.toml .ci/bootstrap_uv.py
	@uv=$$($(PYTHON) .ci/bootstrap_uv.py) && "$$uv" sync --locked --quiet --python "$$(command -v $(PYTHON))"
	@touch $@

check: setup ## Format, lint, strict types, import contracts, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m runner_shell.protocol.reference --check docs/reference
	$(BIN)/python -m runner_shell.link.diagram --check docs/reference
	$(BIN)/python -m runner_shell.shell.configuration.reference --check docs/reference
	$(BIN)/python -m runner_shell.gateway.web.reference --check docs/reference
	$(BIN)/python -m docs.site.api --check docs/reference
	$(BIN)/python -m docs.site.command_line --check docs/reference
	$(BIN)/python -m runner_shell.redaction.reference --check docs/reference

format: setup ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs-reference: setup ## Write docs/reference anew from the tables in the code
	$(BIN)/python -m runner_shell.protocol.reference docs/reference
	$(BIN)/python -m runner_shell.link.diagram docs/reference
	$(BIN)/python -m runner_shell.shell.configuration.reference docs/reference
	$(BIN)/python -m runner_shell.gateway.web.reference docs/reference
	$(BIN)/python -m docs.site.api docs/reference
	$(BIN)/python -m docs.site.command_line docs/reference
	$(BIN)/python -m runner_shell.redaction.reference docs/reference

docs: setup ## Build the documentation into build/docs, strictly, and check its links
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --nitpicky --quiet \
		--fresh-env --conf-dir docs/site docs build/docs
	$(BIN)/python -m docs.site.links build/docs
	@echo "open build/docs/index.html"

test: setup ## The tests, without the real Claude Code, PostgreSQL, images and registries
	$(BIN)/pytest

system-deps: ## Install PostgreSQL and a container engine where they are missing (apt, as root)
	@.ci/install_postgresql
	@.ci/install_containers "$(BASE)"

test-postgres: setup ## The LangGraph adapter with a real PostgreSQL
	@.ci/install_postgresql
	$(BIN)/pytest adapters/langgraph/tests_postgres

test-mirror: setup ## The page on signing and mirroring images, with real registries
	@.ci/fetch_mirror_tools build/mirror-tools
	PATH="$(CURDIR)/build/mirror-tools/bin:$$PATH" PYTHONPATH=tests/docs $(BIN)/pytest images/tests_mirror

# An image to build on; `debian` makes one from Debian's packages, `auto` does where none can be pulled.
BASE ?= auto
# podman, buildah or docker; the first of them that is installed unless one is named.
ENGINE ?=

images: setup ## Build the container images (BASE=an image, debian or auto; ENGINE=)
	@.ci/install_containers "$(BASE)"
	$(BIN)/runner-shell images build --engine "$(ENGINE)" --base-image "$(BASE)"

test-images: images ## Build every image and run it: confined, killed, drained, resumed, cut off
	$(BIN)/pytest tests/images

test-images-bounded: images ## The part of it that CI runs
	$(BIN)/pytest -m bounded tests/images

test-quick: setup ## The tests without real processes and wheels
	$(BIN)/pytest -m "not slow"

test-claude: setup ## Every test of the Claude adapter on the real CLI (no key, no network)
	$(BIN)/pytest adapters/claude/tests_cli

test-claude-bounded: setup ## The part of it that CI runs
	$(BIN)/pytest -m bounded adapters/claude/tests_cli

SDK ?=
canary: setup ## Run the Claude adapter's whole suite against another SDK (SDK=0.2.190)
	@test -n "$(SDK)" || { echo "canary: name a version, such as make canary SDK=0.2.190" >&2; exit 2; }
	@uv=$$($(PYTHON) .ci/bootstrap_uv.py) && "$$uv" venv --quiet --clear --python "$$(command -v $(PYTHON))" build/canary && \
		"$$uv" pip install --quiet --python build/canary/bin/python \
			-e ".[gateway,testing]" -e "adapters/claude[online]" hypothesis "claude-agent-sdk==$(SDK)"
	build/canary/bin/python -m pytest adapters/claude/tests adapters/claude/tests_cli

record-claude: setup ## Record the frames of the real Claude Code anew, for the tests that play them back
	$(BIN)/python adapters/claude/tests/record.py

demo-claude: setup ## The real Claude Code mends a failing test, with a scripted model and no key
	@$(BIN)/python docs/examples/claude_fix/demo.py

demo: setup ## A LangGraph agent reports on a repository (REPO=path or URL, this one by default)
	@$(BIN)/python docs/examples/repo_report/demo.py "$(REPO)"

SEED ?=
SECONDS ?= 60
ROUNDS ?= 0
CHAOS_OPTIONS ?=

chaos: setup ## Kill and break real processes and their network (SEED= SECONDS= ROUNDS=)
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) --seconds $(SECONDS) --rounds $(ROUNDS) $(CHAOS_OPTIONS)

AUDIT_OPTIONS ?=

audit: setup ## Ask whether anything is known against the locked packages: 0 no, 1 yes, 75 could not ask
	$(BIN)/python -m runner_shell.images.audit $(AUDIT_OPTIONS)

bench: setup ## Measure the start beside a bare client
	$(BIN)/python -m tests.bench --markdown docs/explanation/benchmarks.md

bench-link: setup ## Measure an event's way to the gateway's store beside its peers
	$(BIN)/python -m tests.bench.delivery --markdown docs/explanation/benchmarks-link.md

bench-gateway: setup ## Measure a gateway under a thousand runners
	$(BIN)/python -m tests.bench.gateway_load --markdown docs/explanation/benchmarks-gateway.md

docs-gaps: setup ## Write what an independent pack of rules finds beyond ours
	$(BIN)/python -W ignore tests/redaction/oracle.py

bench-redaction: setup ## Measure redaction beside its peers
	$(BIN)/python -m tests.bench.redaction --markdown docs/explanation/benchmarks-redaction.md

TRIALS ?= 10000000

PROCESSES ?= 2

fuzz: setup ## Try to make a secret leak (TRIALS=10000000 SEED=1 PROCESSES=2)
	$(BIN)/python -m tests.fuzz --trials $(TRIALS) --seed $(or $(SEED),1) --processes $(PROCESSES)

bench-claude: setup ## Measure the Claude adapter beside the bare SDK, with the real CLI
	$(BIN)/python -m tests.bench.claude --markdown docs/explanation/benchmarks-claude.md

bench-images: images ## Measure the images' start beside a bare container, and what each megabyte is
	$(BIN)/python -m tests.bench.images --markdown docs/explanation/benchmarks-images.md

bench-langgraph: setup ## Measure the LangGraph adapter beside a bare astream loop
	$(BIN)/python -m tests.bench.stream

clean: ## Remove what set-up and the demo made
	rm -rf $(VENV) .tools .demo dist build
