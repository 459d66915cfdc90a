"""Which hosts there are, what is said about each, and which of them a command is about."""
