"""Privacy: rows about a data subject, their export and their erasure (GDPR)."""
