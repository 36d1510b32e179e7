"""The delay between SIGTERM and gunicorn's graceful stop, for zero-downtime deploys.

gunicorn stops accepting connections on SIGTERM, while load balancers can still send them. So the
master first makes `/readyz` return 503. The service continues for the delay, so that load balancers
stop sending requests to it. Only then does gunicorn stop.
"""

import mmap
import os
import signal
from types import FrameType

_begun = mmap.mmap(-1, 1)  # one byte of memory that the master shares with its forked workers


def has_begun() -> bool:
    """Return whether the delay before the stop has begun. Without a delay, it is always False.

    Any thread or greenlet of the master or of a worker may call it.
    """
    return _begun[0] != 0


def delay(seconds: int) -> None:
    """Make gunicorn's master wait for `seconds` after SIGTERM. A second SIGTERM ends the wait.

    Call it in the master's main thread, after gunicorn has installed its signal handlers.
    """
    if not seconds:
        return
    stop = signal.getsignal(signal.SIGTERM)

    def begin(_signal: int, _frame: FrameType | None) -> None:
        _begun[0] = 1
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        signal.alarm(seconds)

    signal.signal(signal.SIGTERM, begin)
