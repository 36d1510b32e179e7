# The development image. `docker compose watch` syncs sources into it, and Flask's development
# server reloads them. The production image is Dockerfile.multistage.

FROM python:3.14-slim-trixie

RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements/run.txt,target=/tmp/run.txt \
    pip install --require-hashes --only-binary :all: --root-user-action ignore \
        --requirement /tmp/run.txt

RUN useradd --uid 10001 --home-dir /srv --no-create-home app

WORKDIR /srv
COPY pyproject.toml gunicorn.conf.py ./
COPY bin bin
# The container's user owns these folders, because the sync writes files as that user.
COPY --chown=10001:10001 db/migrations db/migrations
COPY --chown=10001:10001 app app

# Unbuffered, so that the last lines of a killed process are not lost.
ENV PATH=$PATH:/srv/bin PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
CMD ["flask", "--app", "app", "run", "--debug", "--host", "0.0.0.0", "--port", "8000"]
