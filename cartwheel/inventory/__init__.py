"""The hosts, their variables, and which of them a task is for."""
