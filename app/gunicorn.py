"""gunicorn's settings, each with its reason."""

import sys
from pathlib import Path
from typing import Any

from app import observability, shutdown
from app.config import Settings, SettingsError

try:
    settings = Settings.from_environ()
except SettingsError as error:
    sys.exit(f"slipway: {error}")

wsgi_app = "app:create_app()"
bind = "0.0.0.0:8000"  # inside the container; what is published is compose's business
worker_class = "gthread"
workers = settings.web_concurrency  # not from the CPU count, which is the host's
threads = settings.web_threads
preload_app = True  # workers share the memory of what was imported before the fork
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 a heartbeat must not wait for a disk
keepalive = 75  # seconds: longer than a load balancer's idle time-out (often 60)
graceful_timeout = 30  # seconds for requests under way; compose's stop_grace_period counts on it
timeout = 60  # seconds without a heartbeat until a worker is replaced
control_socket_disable = True  # it wants to write to a file system that is read-only
logconfig_dict = observability.logging_config(settings)


def when_ready(_server: Any) -> None:
    """Put the drain before gunicorn's own handling of SIGTERM."""
    shutdown.delay(settings.shutdown_delay)
