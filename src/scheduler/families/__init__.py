"""Families: people who belong together as parents and students, read from either side."""
