"""What the tasks call: one function for each task, over settings and hosts. No printing."""
