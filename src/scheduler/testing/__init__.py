"""Tests of a host application: a migrated database for each module, a small clinic, and a fixed clock.

    from scheduler.testing import FixedClock, database_template, migrated_database, small_clinic

`import scheduler` does not load this package. It needs the extra `postgres`, and without a server of yours `embedded`.
"""

from scheduler.testing.clinic import SmallClinic, small_clinic
from scheduler.testing.clock import FixedClock
from scheduler.testing.databases import DatabaseTemplate, database_server, database_template, migrated_database

__all__ = [
    "DatabaseTemplate",
    "FixedClock",
    "SmallClinic",
    "database_server",
    "database_template",
    "migrated_database",
    "small_clinic",
]
