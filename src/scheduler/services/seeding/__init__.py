"""Seeding: made-up worlds to look at, the same for the same seed."""
