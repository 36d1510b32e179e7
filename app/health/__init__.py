"""Whether the service lives and is ready: probes over HTTP, and the containers' check."""
