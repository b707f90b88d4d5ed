"""Schema: migrations, and the comparison of a database with the schema that they make."""
