"""Sample data: made-up tenants for demos and tests, the same for the same seed."""
