"""What the views show, read from the monitor's files: records without any HTML or language."""
