"""What the tasks call: one function for each word, over settings and hosts. No printing."""
