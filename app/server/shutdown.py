"""The time between SIGTERM and gunicorn's graceful stop.

gunicorn stops accepting connections on SIGTERM, while load balancers may still send them. So the
master first turns `/readyz` to 503, serves on for a while, and only then lets gunicorn stop.
"""

import mmap
import os
import signal
from types import FrameType

_begun = mmap.mmap(-1, 1)  # one byte, shared with the workers, which are forked from this process


def has_begun() -> bool:
    """Return whether this service was told to stop."""
    return _begun[0] != 0


def delay(seconds: int) -> None:
    """Make gunicorn's master wait for `seconds` at SIGTERM. A second SIGTERM does not wait."""
    if not seconds:
        return
    stop = signal.getsignal(signal.SIGTERM)

    def begin(_signal: int, _frame: FrameType | None) -> None:
        _begun[0] = 1
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        signal.alarm(seconds)

    signal.signal(signal.SIGTERM, begin)
