"""Access to the host itself: files, programs, locks, units, HTTP."""
