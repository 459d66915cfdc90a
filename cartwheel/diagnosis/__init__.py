"""Judge what hosts found: which causes fit the evidence, the likeliest first. Pure."""
