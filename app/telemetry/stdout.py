"""Standard output for log lines, many of which can be written at once."""

import sys
from collections.abc import Callable


class LineBuffer:
    """Collects lines until it is time to write them: by default, immediately.

    Used by the greenlets of one process.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.flush_is_scheduled = False
        # The server's worker replaces it with a function that runs its argument soon.
        self.schedule_flush: Callable[[Callable[[], None]], object] = lambda write: write()

    def write(self, line: str) -> None:
        """Add one line."""
        self.lines.append(line)

    def flush(self) -> None:
        """Write the lines, immediately or soon."""
        if not self.flush_is_scheduled:
            self.flush_is_scheduled = True
            self.schedule_flush(self._write)

    def _write(self) -> None:
        self.flush_is_scheduled = False  # first: lines that are added from here on need another
        lines, self.lines = self.lines, []
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


line_buffer = LineBuffer()
