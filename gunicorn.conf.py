"""gunicorn's settings, each with its reason. It reads this file by its name."""

from gevent import monkey

monkey.patch_all()  # before anything is imported that the patch must reach

import atexit  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from importlib import import_module  # noqa: E402
from itertools import count  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 files in memory, on no disk

# Otherwise each worker would import them itself, to find the database and to seed random numbers.
for module in ("encodings.idna", "gevent.resolver.thread", "gevent.threadpool"):
    import_module(module)
random.seed(b"")

# For the metrics of all workers; a new folder at each start. Before the imports, which read it.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="slipway-metrics-", dir=SHM)

from app.config import Settings, SettingsError  # noqa: E402
from app.server import shutdown  # noqa: E402
from app.telemetry import logs, metrics  # noqa: E402


@atexit.register
def forget(folder: str = os.environ["PROMETHEUS_MULTIPROC_DIR"], server: int = os.getpid()) -> None:
    """Remove the metrics when the server ends, and not when a worker does."""
    if os.getpid() == server:
        shutil.rmtree(folder)


try:
    settings = Settings.from_environ()
except SettingsError as error:
    sys.exit(f"slipway: {error}")

wsgi_app = "app:create_app()"
# Inside the container: compose decides what is published. The second port is for metrics.
bind = ["0.0.0.0:8000", "0.0.0.0:9100"]
worker_class = "app.server.worker.Worker"
workers = settings.web_concurrency  # not from the CPU count, which is the host's
worker_connections = 900  # in each worker; if more come, app/server/worker.py closes slow ones
preload_app = True  # workers share the memory of what was imported before the fork
worker_tmp_dir = SHM  # a heartbeat must not wait for a disk
keepalive = 75  # seconds: longer than a load balancer's idle time-out (often 60)
graceful_timeout = 30  # seconds for requests under way; compose's stop_grace_period counts on it
forwarded_allow_ips = ""  # TRUSTED_PROXIES decides which proxies are trusted
limit_request_line = 8190  # bytes, the most it allows: RFC 9112 asks for 8,000
timeout = 15  # seconds without a heartbeat until a worker is replaced; one comes each second
http_parser = "python"  # the other is not installed; by default each worker looks for it
control_socket_disable = True  # it would write to the file system, which is read-only
logger_class = "app.server.worker.Logger"
logconfig_dict = logs.logging_config(settings)


def on_starting(server: Any) -> None:
    """Pass on the port for metrics, which the command line may have changed."""
    metrics.metrics_ports |= {str(port) for _, port in server.address[1:]}


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker the first slot that is free."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in count(1) if slot not in taken)


def post_fork(_server: object, worker: Any) -> None:
    """Count in the worker's slot."""
    metrics.set_worker_slot(worker.slot)


def child_exit(_server: object, worker: Any) -> None:
    """Release the slot of a worker that has ended."""
    metrics.release_worker_slot(worker.slot)


def when_ready(_server: object) -> None:
    """Delay gunicorn's reaction to SIGTERM, and keep imported objects out of garbage collection."""
    shutdown.delay(settings.shutdown_delay)
    # Imported objects are never garbage. Workers then neither visit them nor copy their pages. Not
    # after `gc.collect`: workers would fill the holes that it leaves, and copy the pages around.
    gc.freeze()
