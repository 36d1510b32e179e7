"""gunicorn's settings, with reasons. gunicorn reads the file of this name by default."""

import gc

from gevent import events, monkey, spawn

# Nearly all objects that imports make stay. To look for garbage among them takes a tenth of the
# start, and gevent takes as long to ask each installed package for hooks, 25 times.
gc.disable()
events.notify_and_call_entry_points = events.notify
monkey.patch_all()  # first: modules imported before it could keep unpatched functions

import atexit  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from importlib import import_module  # noqa: E402
from itertools import count  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 files in memory, not on disk

# Import before the fork what each worker would import itself, so that workers share the memory:
# modules that resolve the database's host name, and what `random.seed` imports. The seed itself has
# no effect on workers, because gunicorn gives each of them a random one.
for module in ("encodings.idna", "gevent.resolver.thread", "gevent.threadpool"):
    import_module(module)
random.seed(b"")

# The folder for the metrics of all workers, new at each start. app/telemetry/metrics.py reads the
# variable when it is imported. A master that was killed leaves its folder: in a restarted container
# of Kubernetes, the next one has the same process id, and removes it.
prefix = f"slipway-metrics-{socket.gethostname()}-{os.getpid()}-"
# After SIGHUP, the master reads this file again, and keeps its folder.
if not Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).name.startswith(prefix):
    for left in Path(SHM or tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=prefix, dir=SHM)

from app import database  # noqa: E402
from app.config import Settings, SettingsError  # noqa: E402
from app.server import shutdown  # noqa: E402
from app.telemetry import logs, metrics, tracing  # noqa: E402


@atexit.register
def forget(folder: str = os.environ["PROMETHEUS_MULTIPROC_DIR"], server: int = os.getpid()) -> None:
    """Delete the metrics when gunicorn's master ends. Workers inherit this hook and do nothing."""
    if os.getpid() == server:
        shutil.rmtree(folder, ignore_errors=True)


try:
    settings = Settings.from_environ()
    settings.check_oidc()  # oidc
    tracing.check_settings()
except SettingsError as error:
    sys.exit(f"slipway: {error}")


def every_address(port: int) -> list[str]:
    """Return what to bind to, so that IPv4 and IPv6 both work if the kernel has them.

    Without IPv6 in the kernel, gunicorn can't bind to an IPv6 address. By default, Linux accepts
    IPv4 at `[::]` too, and then nothing else can listen at this port.
    """
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
            is_only_ipv6 = probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return [f"0.0.0.0:{port}"]
    return [f"[::]:{port}", *([f"0.0.0.0:{port}"] if is_only_ipv6 else [])]


wsgi_app = "app:create_app()"
# All addresses of the container: compose decides what is published. The second port is for metrics.
bind = every_address(8000) + every_address(9100)
worker_class = "app.server.worker.Worker"
workers = settings.web_concurrency  # a container would see the CPU count of its host
worker_connections = 900  # in each worker; beyond that, app/server/worker.py closes slow ones
preload_app = True  # workers share the memory of what is imported before the fork
worker_tmp_dir = SHM  # a heartbeat must not wait for a disk
keepalive = 75  # seconds: longer than the idle time-out of load balancers, which is often 60
# Seconds for requests in progress when a worker stops. compose's stop_grace_period must be longer
# than this and SHUTDOWN_DELAY together.
graceful_timeout = 30
forwarded_allow_ips = ""  # TRUSTED_PROXIES decides which proxies are trusted
limit_request_line = 8190  # bytes: gunicorn's maximum; RFC 9112, section 3, asks for 8,000
timeout = 15  # seconds without a heartbeat until a worker is replaced; it sends one each second
http_parser = "python"  # the C parser is not installed; "auto" makes each worker look for it
control_socket_disable = True  # it would need a writable file system, and ours is read-only
logger_class = "app.server.worker.Logger"
logconfig_dict = logs.logging_config(settings)


def on_starting(server: Any) -> None:
    """Record the metrics ports: all but the first. `--bind` on the command line can change them."""
    first, *others = (str(port) for _, port in server.address)
    metrics.metrics_ports |= {*others} - {first}


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker the lowest free slot for its metrics."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in count(1) if slot not in taken)


def post_fork(_server: object, worker: Any) -> None:
    """Give the new worker process its limit of memory, and let it count in its slot."""
    worker.max_held_bytes = settings.body_memory * 1024 * 1024
    metrics.set_worker_slot(worker.slot)


def post_worker_init(worker: Any) -> None:
    """Check the database's server in the background, while the worker begins to serve."""
    spawn(database.end_if_wrong_server, worker.app.wsgi())


def child_exit(_server: object, worker: Any) -> None:
    """Release the slot of a worker that has ended."""
    metrics.release_worker_slot(worker.slot)


def when_ready(server: Any) -> None:
    """Log the address, delay the stop after SIGTERM, and start the garbage collector."""
    if address := settings.public_url or logs.published_address():
        server.log.info("Open %s", address)
    if settings.trusted_proxies and not settings.public_url:
        server.log.warning(
            "PUBLIC_URL is not set, so the service's own URLs are what X-Forwarded-Proto and"
            " X-Forwarded-Host say. Set it, or make the proxy replace both headers."
        )
    shutdown.delay(settings.shutdown_delay)
    # Imported objects are never garbage. After `gc.freeze`, the garbage collector of a worker does
    # not visit them. Each visit writes to an object, and so copies its memory page (copy-on-write).
    # Don't call `gc.collect` first: workers would put new objects into the memory that it frees,
    # and so copy the pages around them.
    gc.freeze()
    gc.enable()


def on_reload(_server: object) -> None:
    """Start the garbage collector again, after SIGHUP and before the fork of new workers."""
    gc.enable()
