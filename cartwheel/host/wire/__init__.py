"""What travels between the operator and the host."""
