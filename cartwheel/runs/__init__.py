"""What the operator's own machine remembers of each changing run."""
