"""What a person sees on the terminal: lines, tables and progress; options that all tasks share."""
