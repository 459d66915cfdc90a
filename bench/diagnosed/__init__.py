"""What `bench/diagnose` plants: a shop with real parts, 40 faults, healthy hosts, large logs."""
