# The development image. `docker compose watch` syncs sources into it, and Flask's development
# server reloads them. The production image is Dockerfile.multistage.

FROM python:3.14-slim-trixie

RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements/run.txt,target=/tmp/run.txt \
    pip install --require-hashes --only-binary :all: --root-user-action ignore \
        --requirement /tmp/run.txt

RUN useradd --uid 10001 --home-dir /srv --no-create-home app

WORKDIR /srv
# The container's user owns the files, because the sync writes as that user, and because the
# checkout's modes may let nobody but the owner read them.
COPY --chown=10001:10001 pyproject.toml gunicorn.conf.py ./
COPY --chmod=0555 bin/* bin/
COPY --chown=10001:10001 db/migrations db/migrations
COPY --chown=10001:10001 app app

# Unbuffered, so that the last lines of a killed process are not lost.
ENV PATH=$PATH:/srv/bin PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
CMD ["flask", "--app", "app", "run", "--debug", "--host", "0.0.0.0", "--port", "8000"]
