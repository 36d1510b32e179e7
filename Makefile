# Each target is one or two commands that can as well be typed.
.DEFAULT_GOAL := help
.PHONY: help run token test fuzz bench lint audit lock push sbom db-shell backup restore

PYTHON ?= python3
PORT ?= 8000
BIND_ADDRESS ?= 127.0.0.1
# Tools of the virtual environment first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
	@echo 'Variables come behind: make run PORT=8080, make backup FILE=backups/monday.sql.gz'

run token: export DATABASE_URL ?= sqlite:///data/slipway.db
run: export LOG_FORMAT ?= console
run: export SHUTDOWN_DELAY ?= 0
run: .venv/run ## serve without Docker, on SQLite, at PORT or 8000
	@mkdir -p data
	@echo "Database: $${DATABASE_URL%%:*}, in data/. For the full stack with MySQL: docker compose up"
	@echo "Metrics: http://127.0.0.1:$$(($(PORT) + 1100))/metrics"
	alembic upgrade heads
	exec gunicorn --bind $(BIND_ADDRESS):$(PORT) --bind 127.0.0.1:$$(($(PORT) + 1100))

token: .venv/run ## make a token, named NAME or me, for what run serves
	@test -d data || { echo 'Run make run first.' >&2; exit 1; }
	@python -m app tokens create $(or $(NAME),me)

test: lint ## run lint and all tests, on a stack of their own
	pytest

fuzz: .venv/dev ## try the API with thousands of made-up requests
	python -m tests.fuzz

bench: .venv/bench ## measure what the service carries, and plot it in docs/
	bench/overload

lint: .venv/dev ## check form and types
	ruff format --check
	ruff check
	mypy
	yamllint --strict .
	zizmor --quiet --offline .github
	hadolint Dockerfile Dockerfile.multistage
	shellcheck $$(git ls-files '*.sh' .ci/run bench/image deploy/push)

audit: .venv/dev ## look for known vulnerabilities of the packages
	pip-audit --strict --disable-pip --require-hashes --requirement requirements/run.txt

lock: .venv/dev ## renew the lock files from pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade pyproject.toml --output-file requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade --group dev --constraints requirements/run.txt pyproject.toml --output-file requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade --group bench --constraints requirements/dev.txt --output-file requirements/bench.txt

# Its aws is the user's, which knows how they sign in, and not the tests'.
push: export PATH := $(subst $(CURDIR)/.venv/bin:,,$(PATH))
push: ## build the last commit's image and push it as IMAGE:TAG, for PLATFORMS
	@deploy/push

sbom: ## print what is in the image IMAGE:TAG (CycloneDX)
	@docker run --rm --network none $(or $(IMAGE),slipway):$(or $(TAG),latest) \
		python3 -c 'print(open("/srv/sbom.cdx.json").read())'

db-shell: ## open mysql as root inside the database's container
	docker compose exec db bash -c 'MYSQL_PWD=$$(</run/secrets/root_password) mysql --user=root slipway'

backup: ## save all data while the stack serves, in FILE or in backups/
	@db/backup.sh $(FILE)

restore: ## bring the backup FILE into an empty stack
	@test -n "$(FILE)" || { echo 'Say which: make restore FILE=backups/…' >&2; exit 1; }
	@db/restore.sh $(FILE)

# The environments: for running, for all work on the project, and for what draws its plots.
.venv/run .venv/dev .venv/bench: .venv/%: requirements/%.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
