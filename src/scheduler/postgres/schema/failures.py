"""Failures of a migration: explanations of the errors of PostgreSQL for which the usual advice is wrong.

Owns: the advice for a table in use, for dependent objects of others, and for a schema that is not as expected.
Must not know: which revisions there are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from scheduler.postgres.connections import name_of
from scheduler.postgres.errors import SchemaMismatchError, StatementError
from scheduler.postgres.schema.record import recorded
from scheduler.postgres.translation import LOCK_NOT_AVAILABLE, NOT_ALLOWED

_OTHERS_DEPEND_ON_IT: Final = "2BP01"
_MAX_NAMED_DEPENDENTS: Final = 5
_NAMES_AND_TYPES: Final = "42"  # PostgreSQL, appendix A, class 42; its messages name objects, no values


@contextmanager
def explained(connection: Connection) -> Iterator[None]:
    """Explain why a migration failed; the usual advice, `run scheduler migrate`, would not help here."""
    try:
        yield
    except DBAPIError as error:
        code, diagnosis = getattr(error.orig, "sqlstate", None) or "", getattr(error.orig, "diag", None)
        explained = code in {LOCK_NOT_AVAILABLE, _OTHERS_DEPEND_ON_IT} or code.startswith(_NAMES_AND_TYPES)
        if code == NOT_ALLOWED or diagnosis is None or not explained:
            raise
        connection.rollback()
        database, message = name_of(connection.engine.url), diagnosis.message_primary
        state = f"the database stays at {recorded(connection) or 'no revision'}"
        if code == LOCK_NOT_AVAILABLE:
            raise StatementError(
                f"a table of {database} is in use, so the migration gave up: {state}; try again at a quieter time",
                sqlstate=code,
            ) from None
        if code == _OTHERS_DEPEND_ON_IT:
            dependents = "; ".join((diagnosis.message_detail or "").splitlines()[:_MAX_NAMED_DEPENDENTS])
            raise StatementError(
                f"objects that are not the library's depend on the schema of {database} ({message}: {dependents}), so "
                f"the migration gave up: {state}; drop these objects, and create them again afterwards",
                sqlstate=code,
            ) from None
        raise SchemaMismatchError(
            f"the schema of {database} is not as the migration expects ({message}): {state}"
        ) from None
