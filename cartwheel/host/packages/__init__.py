"""System packages, one module for each package manager."""
