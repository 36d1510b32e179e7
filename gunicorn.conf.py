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

# Else each worker would import them for itself: to find the database, and what makes its own seed.
for module in ("encodings.idna", "gevent.resolver.thread", "gevent.threadpool"):
    import_module(module)
random.seed(b"")

# For the numbers of all workers; a new one at each start. Also before the imports, for the same
# reason.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="slipway-metrics-", dir=SHM)

from app import metrics, observability, shutdown  # noqa: E402
from app.config import Settings, SettingsError  # noqa: E402


@atexit.register
def forget(folder: str = os.environ["PROMETHEUS_MULTIPROC_DIR"], server: int = os.getpid()) -> None:
    """Remove the numbers when the server ends, and not when a worker does."""
    if os.getpid() == server:
        shutil.rmtree(folder)


try:
    settings = Settings.from_environ()
except SettingsError as error:
    sys.exit(f"slipway: {error}")

wsgi_app = "app:create_app()"
# Inside the container; what is published is compose's business. The second is for metrics.
bind = ["0.0.0.0:8000", "0.0.0.0:9100"]
worker_class = "app.worker.Worker"
workers = settings.web_concurrency  # not from the CPU count, which is the host's
worker_connections = 900  # open ones in each worker; app/worker.py makes room when they are taken
preload_app = True  # workers share the memory of what was imported before the fork
worker_tmp_dir = SHM  # a heartbeat must not wait for a disk
keepalive = 75  # seconds: longer than a load balancer's idle time-out (often 60)
graceful_timeout = 30  # seconds for requests under way; compose's stop_grace_period counts on it
forwarded_allow_ips = ""  # what proxies say is TRUSTED_PROXIES' business
limit_request_line = 8190  # bytes, the most it allows: RFC 9112 asks for 8,000
timeout = 15  # seconds without a heartbeat until a worker is replaced; one comes each second
http_parser = "python"  # the other is not there; by default each worker looks for it
control_socket_disable = True  # it wants to write to a file system that is read-only
logger_class = "app.worker.Logger"
logconfig_dict = observability.logging_config(settings)


def on_starting(server: Any) -> None:
    """Tell the port for metrics, which the command line may have changed."""
    metrics.ports |= {str(port) for _, port in server.address[1:]}


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker the first place that no other has."""
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = next(place for place in count(1) if place not in taken)


def post_fork(_server: object, worker: Any) -> None:
    """Count in the worker's place."""
    metrics.take_place(worker.place)


def child_exit(_server: object, worker: Any) -> None:
    """Clear the place of a worker that has ended."""
    metrics.leave_place(worker.place)


def when_ready(_server: object) -> None:
    """Put the drain before gunicorn's handling of SIGTERM, and what is there out of gc's way."""
    shutdown.delay(settings.shutdown_delay)
    # What was imported is no garbage. Workers neither look at it again nor copy its pages. Without
    # `gc.collect`: workers would fill the holes that it leaves, and so copy the pages around them.
    gc.freeze()
