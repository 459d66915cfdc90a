"""Tools that tests and benches share."""
