"""One strict, fast session per host, over fabric's Connection."""
