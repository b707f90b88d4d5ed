"""Invitations: single-use tokens with which a person joins an organisation."""
