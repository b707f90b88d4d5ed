"""Encryption: master keys, data keys, key rings, their rotation, and the one gateway to health information."""
