"""Slot generation: the nightly job."""
