"""A buffer for log lines, so that many lines can be written to standard output at once."""

import sys
from collections.abc import Callable


class LineBuffer:
    """Collects log lines, and writes them when `schedule_flush` says: by default immediately.

    It looks like a file to structlog, whose lock covers each `write` and its `flush`. So any
    thread may use it by default. If flushes are delayed, only greenlets of one thread may.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.flush_is_scheduled = False
        # gunicorn's worker replaces it with a function that runs its argument in the next turn of
        # gevent's loop.
        self.schedule_flush: Callable[[Callable[[], None]], object] = lambda write: write()

    def write(self, line: str) -> None:
        """Add one line."""
        self.lines.append(line)

    def flush(self) -> None:
        """Write the collected lines, or schedule that if it isn't scheduled yet."""
        if not self.flush_is_scheduled:
            self.flush_is_scheduled = True
            self.schedule_flush(self._write)

    def _write(self) -> None:
        self.flush_is_scheduled = False  # before the write: later lines need a new flush
        lines, self.lines = self.lines, []
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


line_buffer = LineBuffer()
