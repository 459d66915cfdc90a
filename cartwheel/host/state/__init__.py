"""What is recorded on the host: its releases, its journal, a switch that is pending, a freeze."""
