"""The pure core: standard library and dateutil only; no I/O, no clock, no database."""
