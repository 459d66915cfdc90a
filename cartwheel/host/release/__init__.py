"""Make a release on the host, verify it, and remove what interrupted runs left."""
