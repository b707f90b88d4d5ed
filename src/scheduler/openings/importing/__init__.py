"""Openings import: facilities, doctors, rules, exceptions and closures, written as rows."""
