"""Sample data: invented tenants for demos and tests, the same for the same seed."""
