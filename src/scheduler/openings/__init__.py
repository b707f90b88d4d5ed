"""Openings: places, doctors and their hours, as a file and as imported rows."""
