"""Pure decisions: settings and facts in, ordered steps out. No I/O, no clock."""
