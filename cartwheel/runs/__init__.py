"""The records of changing runs on the operator's machine."""
