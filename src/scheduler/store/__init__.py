"""Floor 3: PostgreSQL adapters. Rows become core values here and back; no driver's exception leaves this package."""
