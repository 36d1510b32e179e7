"""Health checks: liveness and readiness probes over HTTP, and the containers' health check."""
