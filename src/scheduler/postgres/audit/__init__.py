"""Audit: the append-only log, and the hash chain over it."""
