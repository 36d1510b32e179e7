"""Shared parts of all HTTP resources: strict JSON, errors, OpenAPI, ETags, idempotency, limits."""
