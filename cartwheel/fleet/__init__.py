"""Carries out plans on all hosts: barriers, rolling back together, one true report."""
