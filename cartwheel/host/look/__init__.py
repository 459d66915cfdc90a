"""Look at a host without changing anything."""
