"""A session on the host: read requests, carry them out, answer."""
