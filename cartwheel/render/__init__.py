"""Renders the files of a release from templates: pure text, nothing is written."""
