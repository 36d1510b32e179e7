# Each target is one or two commands, which you can also type yourself.
.DEFAULT_GOAL := help
.PHONY: help up run token check test coverage fuzz lint audit lock settings push sbom kubernetes-secrets db-shell backup restore kubernetes-backup kubernetes-restore rename clean

PYTHON ?= python3
PORT ?= 8000
BIND_ADDRESS ?= 127.0.0.1
# Prefer the tools of the virtual environment.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## list all targets
	@awk -F ':.*## ' '/^#@/ {print "\n" substr($$0, 4)} /^[a-z-]+:.*## / {printf "%-18s  %s\n", $$1, $$2}' Makefile
	@printf '\n%s\n' 'Set variables after the target: make run PORT=8080, make backup FILE=backups/monday.sql.gz'

#@ Run with Docker

up: ## build and start the stack, if its port is free, and print the address
	@deploy/up.sh

#@ Run without Docker

run token: export DATABASE_URL ?= sqlite:///data/slipway.db
run: export LOG_FORMAT ?= console
run: export SHUTDOWN_DELAY ?= 0
run: export PUBLISHED = $(BIND_ADDRESS):$(PORT)
run: export SECRET_KEY_FILE ?= $(if $(SECRET_KEY),,data/secret_key)
run: .venv/run ## run the service without Docker, on SQLite, on PORT (default: 8000)
	@mkdir -p data
	@test -s data/secret_key || (umask 077; python -c 'import secrets; print(secrets.token_hex())' > data/secret_key)
	@case $$DATABASE_URL in sqlite:*) echo "Database: $$DATABASE_URL" ;; *) echo "Database: $${DATABASE_URL%%:*}" ;; esac
	@echo "For the full stack with MySQL: docker compose up --wait"
	@echo "Metrics: http://127.0.0.1:$$(($(PORT) + 1100))/metrics"
	alembic upgrade heads
	exec gunicorn --bind $(BIND_ADDRESS):$(PORT) --bind 127.0.0.1:$$(($(PORT) + 1100))

token: .venv/run ## create a token for the service of make run, named NAME (default: me)
	@test -d data || { echo 'Run make run first.' >&2; exit 1; }
	@python -m app tokens create $(or $(NAME),me)

#@ Develop

check: lint ## run lint, unit tests and tests of the API on SQLite: no Docker
	pytest -n 3 --dist loadfile -m 'not engine' tests/unit tests/api tests/docs/test_pages.py

# The files with tests that have this mark, because to import all of them takes seconds. In this
# order, the one that takes longest is not the last.
marked = $$(grep -rlw --include '*.py' 'mark\.$(1)' tests | sort --reverse)

test: export SKIPPED := $(CURDIR)/.pytest_cache/skipped.json
test: lint ## run lint and all tests, on stacks separate from yours
	@mkdir -p .pytest_cache && rm -f $$SKIPPED
	pytest -n 3 --dist loadfile --no-loadscope-reorder -m 'not timed and not alone'
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m timed $(call marked,timed) || test $$? = 5
	pytest -m alone $(call marked,alone)

coverage: .venv/dev ## print the branch coverage of unit tests and of tests of the API on SQLite
	pytest -n 3 --dist loadfile --cov -m 'not engine' tests/unit tests/api

fuzz: need-docker .venv/dev ## send thousands of generated requests to the API
	python -m tests.support.fuzz

# example
.PHONY: faults bench screenshots words remove-example check-rest

faults: need-docker .venv/dev ## inject random faults into a stack; takes three quarters of an hour; SEED=… repeats a run
	python -m tests.support.links.faults

bench: need-docker need-wrk .venv/bench ## benchmark the service and its peers, and plot the results in docs/
	bench/overload
	bench/compare

screenshots: need-chromium need-npm .venv/dev .venv/bench ## update the README's screenshots of the web page
	bench/screenshots

words: need-docker .venv/dev ## ask MySQL what it takes as words, and write app/links/mysql_words.py
	python -m tests.support.links.words

remove-example: ## take out the example, with its documents and tests; see docs/your-own-service.md
	@$(PYTHON) -m tests.support.links.remove

check-rest: need-docker .venv/dev ## run all tests on a copy without the example; takes 15 minutes
	python -m tests.support.links.rest
# /example

lint: .venv/dev ## check style and types
	ruff format --check
	ruff check
	mypy
	yamllint --strict .
	zizmor --quiet --offline .github
	hadolint $$(git ls-files '*Dockerfile*')
	shellcheck $$(git ls-files '*.sh' .ci/run bench/image deploy/push)

audit: .venv/dev ## check the packages for known vulnerabilities
	pip-audit --strict --disable-pip --require-hashes --requirement requirements/run.txt
	pip-audit --strict --disable-pip --require-hashes --requirement deploy/binlogs/requirements.txt

lock: need-npm .venv/dev ## update the lock files from pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade pyproject.toml --output-file requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade --group dev --constraints requirements/run.txt pyproject.toml --output-file requirements/dev.txt
	uv pip compile --quiet --python-platform linux --python-version 3.14 --generate-hashes --custom-compile-command 'make lock' --upgrade --only-binary :all: --group binlogs --output-file deploy/binlogs/requirements.txt
	uv pip compile --quiet --universal --python-version 3.14 --generate-hashes --custom-compile-command 'make lock' --upgrade --only-binary :all: --group checkov --output-file tests/kubernetes/tools/checkov.txt
# example
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade --group bench --constraints requirements/dev.txt --output-file requirements/bench.txt
	for peer in bare_flask fastapi flask_orm; do \
		uv pip compile --quiet --python-platform linux --python-version 3.14 --generate-hashes --custom-compile-command 'make lock' --upgrade --only-binary :all: --group $$peer --output-file bench/peers/$$peer/requirements.txt || exit; \
	done
	npm update --prefix bench/peers/express --package-lock-only --omit-lockfile-registry-resolved
# /example

settings: .venv/dev ## write the settings of app/config.py into .env.example and docs/configuration.md
	python -m tests.support.settings_pages

clean: ## remove .venv, caches, and what tests and benchmarks left; keep all data of your stack
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* test-results tests/browser/artefacts
	find . -name __pycache__ -prune -exec rm -r {} +
	@$(PYTHON) -B -m tests.support.leftovers
	@echo 'Your stack, data/, backups/ and .env are still here. To delete the stack with its data: docker compose down -v'

rename: .venv/dev ## rename the service to NAME in all files; see docs/your-own-service.md
	@python -m tests.support.rename '$(NAME)'
	ruff format --quiet

#@ Release

# Use the user's own aws command, which has their credentials, not the one in .venv for the tests.
push: export PATH := $(subst $(CURDIR)/.venv/bin:,,$(PATH))
push: need-docker ## build the image of the last commit, for PLATFORMS if set, and push it as IMAGE:TAG
	@deploy/push

sbom: need-docker ## print the SBOM (CycloneDX) of the image IMAGE:TAG, or of this stack
	@docker run --rm --network none \
		"$$(docker compose config app | awk '/^  app:/ {app = 1} app && $$1 == "image:" {print $$2; exit}')" \
		python3 -c 'print(open("/srv/sbom.cdx.json").read())'

# This runs in a container, because not every system's openssl supports what the script needs.
kubernetes-secrets: need-docker ## create missing passwords and certificates for deploy/kubernetes/local
	@mkdir -p deploy/kubernetes/local/secrets
	@docker run --rm --network none --user "$$(id -u):$$(id -g)" \
		--env MYSQL_DATABASE=slipway --env DATABASE_HOST=slipway-db \
		--volume "$(CURDIR)/db/secrets.sh:/secrets.sh:ro" \
		--volume "$(CURDIR)/deploy/kubernetes/local/secrets:/secrets" \
		python:3.14-slim-trixie sh /secrets.sh /secrets

#@ Data of the running stack

db-shell: need-docker ## open a MySQL shell as root in the database's container
	docker compose exec "$$(db/find.sh)" bash -c 'MYSQL_PWD=$$(</run/secrets/root_password) mysql --user=root slipway'

backup: need-docker ## save all data to FILE, or to a new file in backups/, while the service runs
	@db/backup.sh $(FILE)

restore: need-docker ## load the backup FILE into an empty stack, and binary logs UNTIL a time (UTC), if set
	@test -n "$(FILE)" || { echo 'Set FILE to the backup: make restore FILE=backups/monday.sql.gz' >&2; exit 1; }
	@db/restore.sh $(FILE)

kubernetes-%: export IN_DATABASE = kubectl -n slipway exec -i slipway-db-0 --
kubernetes-backup: need-kubectl ## the same as backup, for deploy/kubernetes/local
	@db/backup.sh $(FILE)

kubernetes-restore: export MIGRATE = kubectl -n slipway rollout restart deployment/slipway && kubectl -n slipway rollout status deployment/slipway
kubernetes-restore: need-kubectl ## the same as restore, for deploy/kubernetes/local
	@test -n "$(FILE)" || { echo 'Set FILE to the backup: make kubernetes-restore FILE=backups/monday.sql.gz' >&2; exit 1; }
	@db/restore.sh $(FILE)

# Programs that a target needs besides Python, so that it names a missing one before it begins.
ONE_OF_chromium = chromium-headless-shell chromium chromium-browser google-chrome
INSTALL_chromium = On Debian: apt install chromium
INSTALL_docker = With Compose: https://docs.docker.com/engine/install
INSTALL_kubectl = On Debian: apt install kubernetes-client
INSTALL_npm = On Debian: apt install npm
INSTALL_wrk = On Debian: apt install wrk
need-%:
	@$(foreach program,$(or $(ONE_OF_$*),$*),command -v $(program) >/dev/null ||) { \
		echo 'make $(MAKECMDGOALS) needs $*, which is not installed. $(INSTALL_$*)' >&2; exit 1; }

# Virtual environment with the packages of a lock file: .venv/run to run the service, .venv/dev to
# develop it.
# One without pip is the rest of an interrupted run.
.venv/%: requirements/%.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed")'
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv && $(PYTHON) -m venv .venv >/dev/null; } || { \
		rm -rf .venv; echo 'The module venv of $(PYTHON) does not work. On Debian: apt install python3-venv' >&2; exit 1; }
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
