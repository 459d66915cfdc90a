"""The application's wheel, its tests and its lock, on the operator's machine."""
