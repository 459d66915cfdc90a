"""The host's web server: its configuration, and what it says of requests."""
