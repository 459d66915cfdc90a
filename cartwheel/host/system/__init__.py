"""What the host itself offers: files, programs, locks, units, HTTP."""
