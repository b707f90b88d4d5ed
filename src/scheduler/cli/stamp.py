"""`scheduler stamp`: record the revision of a database again."""

from scheduler.cli.schema import refuse_differences
from scheduler.cli.settings import DatabaseUrl, database_url
from scheduler.cli.terminal import echo
from scheduler.postgres.schema import migrations


def stamp(url: DatabaseUrl = None) -> None:
    """Record the revision of a database again whose table `scheduler.revision` is lost.

    Only the revision of this release is recorded, and only if nothing differs from its schema. Otherwise each
    difference is a line, and the exit code is 6.
    """
    with database_url(url) as address:
        before = migrations.current(address)
        if before is None:
            refuse_differences(address, is_recorded=False)
        migrations.stamp(address)
        echo(f"already at {before}" if before else f"recorded {migrations.head()}: nothing differs from its schema")
