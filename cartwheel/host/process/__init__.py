"""The processes of a release: start, health check, drain."""
