"""What every HTTP resource shares: strict JSON, errors, OpenAPI, ETags, idempotency, limits."""
