"""Faults at exact points of a deploy to a lab host (docs/faults.md)."""
