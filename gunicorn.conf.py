"""gunicorn's settings, each with its reason. It reads this file by its name."""

from gevent import monkey

monkey.patch_all()  # before anything is imported that the patch must reach

import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from app import observability, shutdown  # noqa: E402
from app.config import Settings, SettingsError  # noqa: E402

try:
    settings = Settings.from_environ()
except SettingsError as error:
    sys.exit(f"slipway: {error}")

wsgi_app = "app:create_app()"
bind = "0.0.0.0:8000"  # inside the container; what is published is compose's business
worker_class = "app.worker.Worker"
workers = settings.web_concurrency  # not from the CPU count, which is the host's
worker_connections = 900  # open ones in each worker; app/worker.py makes room when they are taken
preload_app = True  # workers share the memory of what was imported before the fork
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 a heartbeat must not wait for a disk
keepalive = 75  # seconds: longer than a load balancer's idle time-out (often 60)
graceful_timeout = 30  # seconds for requests under way; compose's stop_grace_period counts on it
forwarded_allow_ips = ""  # what proxies say is TRUSTED_PROXIES' business
limit_request_line = 8190  # bytes, the most it allows: RFC 9112 asks for 8,000
timeout = 15  # seconds without a heartbeat until a worker is replaced; none that works needs a tenth
control_socket_disable = True  # it wants to write to a file system that is read-only
logconfig_dict = observability.logging_config(settings)


def when_ready(_server: object) -> None:
    """Put the drain before gunicorn's handling of SIGTERM."""
    shutdown.delay(settings.shutdown_delay)
