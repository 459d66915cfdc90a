"""Evidence of what is wrong on this host. It only reads."""
