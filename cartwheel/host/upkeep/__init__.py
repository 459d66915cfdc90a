"""Prepare a host, maintain an application on it, remove it."""
