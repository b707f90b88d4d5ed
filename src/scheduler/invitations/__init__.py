"""Invitations: a person joins an organisation with a token that works once."""
