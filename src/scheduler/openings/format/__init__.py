"""Openings format: the lines of a file, read into places."""
