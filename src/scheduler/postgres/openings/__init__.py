"""Openings in the tables: what a file says becomes facilities, doctors, rules, exceptions and closures."""
