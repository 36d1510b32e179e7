# Each target is one or two commands that can as well be typed.
.DEFAULT_GOAL := help
.PHONY: help run token test fuzz faults bench screenshots lint audit lock settings push sbom kubernetes-secrets db-shell backup restore rename

PYTHON ?= python3
PORT ?= 8000
BIND_ADDRESS ?= 127.0.0.1
# Tools of the virtual environment first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## list the targets
	@awk -F ':.*## ' '/^#@/ {print "\n" substr($$0, 4)} /^[a-z-]+:.*## / {printf "%-18s  %s\n", $$1, $$2}' Makefile
	@printf '\n%s\n' 'Variables come behind: make run PORT=8080, make backup FILE=backups/monday.sql.gz'

#@ Without Docker

run token: export DATABASE_URL ?= sqlite:///data/slipway.db
run: export LOG_FORMAT ?= console
run: export SHUTDOWN_DELAY ?= 0
run: export SECRET_KEY_FILE ?= $(if $(SECRET_KEY),,data/secret_key)
run: .venv/run ## serve without Docker, on SQLite, at PORT or 8000
	@mkdir -p data
	@test -s data/secret_key || (umask 077; python -c 'import secrets; print(secrets.token_hex())' > data/secret_key)
	@echo "Database: $${DATABASE_URL%%:*}, in data/. For the full stack with MySQL: docker compose up"
	@echo "Metrics: http://127.0.0.1:$$(($(PORT) + 1100))/metrics"
	alembic upgrade heads
	exec gunicorn --bind $(BIND_ADDRESS):$(PORT) --bind 127.0.0.1:$$(($(PORT) + 1100))

token: .venv/run ## make a token, named NAME or me, for what run serves
	@test -d data || { echo 'Run make run first.' >&2; exit 1; }
	@python -m app tokens create $(or $(NAME),me)

#@ Work on it

test: lint ## run lint and all tests, on stacks of their own
	pytest -n 3 --dist loadfile --no-loadscope-reorder --cov -m 'not alone'
	pytest -m alone

fuzz: .venv/dev ## try the API with thousands of made-up requests
	python -m tests.support.fuzz

faults: .venv/dev ## break the stack in all ways at random for half an hour; SEED=… repeats a run
	python -m tests.support.links.faults

bench: .venv/bench ## measure what the service carries, and what its peers do, and plot it in docs/
	bench/overload
	bench/compare

screenshots: .venv/dev .venv/bench ## renew the README's pictures of the web page
	bench/screenshots

lint: .venv/dev ## check form and types
	ruff format --check
	ruff check
	mypy
	yamllint --strict .
	zizmor --quiet --offline .github
	hadolint Dockerfile Dockerfile.multistage tests/kubernetes/tools/Dockerfile bench/peers/*/Dockerfile
	shellcheck $$(git ls-files '*.sh' .ci/run bench/image deploy/push)

audit: .venv/dev ## look for known vulnerabilities of the packages
	pip-audit --strict --disable-pip --require-hashes --requirement requirements/run.txt

lock: .venv/dev ## renew the lock files from pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade pyproject.toml --output-file requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade --group dev --constraints requirements/run.txt pyproject.toml --output-file requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --upgrade --group bench --constraints requirements/dev.txt --output-file requirements/bench.txt
	uv pip compile --quiet --universal --python-version 3.14 --generate-hashes --custom-compile-command 'make lock' --upgrade --only-binary :all: --group checkov --output-file tests/kubernetes/tools/checkov.txt
	for peer in bare_flask fastapi flask_orm; do \
		uv pip compile --quiet --python-platform linux --python-version 3.14 --generate-hashes --custom-compile-command 'make lock' --upgrade --only-binary :all: --group $$peer --output-file bench/peers/$$peer/requirements.txt || exit; \
	done
	npm update --prefix bench/peers/express --package-lock-only --omit-lockfile-registry-resolved

settings: .venv/dev ## write the settings of app/config.py into .env.example and docs/configuration.md
	python -m tests.support.settings_pages

rename: ## call the service NAME, in all files: docs/your-own-service.md
	@echo '$(NAME)' | grep -Eqx '[a-z][a-z0-9]{1,29}' || { \
		echo 'Say how: make rename NAME=…, 2 to 30 of a-z and 0-9, a letter first.' >&2; exit 1; }
	git mv bin/slipway bin/$(NAME)
	git grep -lIz -i slipway -- . ':!LICENSE' ':!requirements' \
		| xargs -0 perl -pi -e 's/slipway/$(NAME)/g; s/Slipway/\u$(NAME)/g'

#@ Ship it

# Its aws is the user's, which knows how they sign in, and not the tests'.
push: export PATH := $(subst $(CURDIR)/.venv/bin:,,$(PATH))
push: ## build the last commit's image and push it as IMAGE:TAG, for PLATFORMS
	@deploy/push

sbom: ## print what is in the image IMAGE:TAG (CycloneDX)
	@docker run --rm --network none $(or $(IMAGE),slipway):$(or $(TAG),latest) \
		python3 -c 'print(open("/srv/sbom.cdx.json").read())'

# In a container, since not every system's openssl can do it.
kubernetes-secrets: ## make passwords and certificates for deploy/kubernetes/local, once
	@mkdir -p deploy/kubernetes/local/secrets
	@docker run --rm --network none --user "$$(id -u):$$(id -g)" \
		--env MYSQL_DATABASE=slipway --env DATABASE_HOST=slipway-db \
		--volume "$(CURDIR)/db/secrets.sh:/secrets.sh:ro" \
		--volume "$(CURDIR)/deploy/kubernetes/local/secrets:/secrets" \
		python:3.14-slim-trixie sh /secrets.sh /secrets

#@ Data of the stack that runs

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
