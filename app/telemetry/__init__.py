"""Logs, metrics and traces of the service. docs/observe.md describes them for operators."""

quiet_paths: set[str] = set()
"""Paths that machines request every few seconds, such as health checks.

Their requests have no spans, and unless they fail with 5xx, log lines only at level debug. The
module that serves such a path adds it here in its `init_app`."""
