"""Publishes files for hosts in their artifact store: once, by hash."""
