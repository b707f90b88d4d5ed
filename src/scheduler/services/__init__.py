"""Use cases: what is done with the core and the store, one module each."""
