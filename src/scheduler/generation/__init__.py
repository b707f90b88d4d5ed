"""The nightly slot-generation job."""
