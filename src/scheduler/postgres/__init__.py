"""PostgreSQL: units of work, bulk writing, keys and encryption, audit, privacy, schema, and the embedded server."""

import logging

logging.getLogger("scheduler").addHandler(logging.NullHandler())  # silence, unless the host asks for records
