"""What the service reports about itself: logs, metrics and traces. See docs/observe.md."""

quiet_paths: set[str] = set()
"""Paths that machines request every few seconds: no spans, and log lines only at level debug.
Whoever owns such a path adds it at start."""
