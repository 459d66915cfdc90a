"""Move the traffic to another release, and back."""
