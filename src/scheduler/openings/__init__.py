"""Openings: who works where and when, as a file and as imported rows."""
