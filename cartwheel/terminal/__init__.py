"""What a person sees on the terminal: lines, tables, progress, and the options that all tasks share."""
