"""Retries of the job: which errors are transient, and how often and how long the command line waits."""

from datetime import timedelta
from typing import NoReturn

import pytest

from scheduler.cli.job_retries import JobRetries
from scheduler.core.errors import SchedulerError
from scheduler.generation.retrying import concerns_the_server, is_transient
from scheduler.postgres.errors import DatabaseUnreachableError, DeadlockError, StatementError, StoreError


@pytest.mark.parametrize(
    ("error", "transient", "of_the_server"),
    [
        (DatabaseUnreachableError("lost"), True, True),
        (DatabaseUnreachableError("lost", sqlstate="08006"), True, True),
        (DatabaseUnreachableError("stopped", sqlstate="57P01"), True, True),
        (DatabaseUnreachableError("too many", sqlstate="53300"), True, True),
        (DatabaseUnreachableError("a wrong password", sqlstate="28P01"), False, True),
        (DatabaseUnreachableError("dropped", sqlstate="57P04"), False, True),
        (StatementError("disk full", sqlstate="53100"), True, True),
        (DeadlockError("deadlock", sqlstate="40P01"), True, False),
        (StatementError("integrity", sqlstate="40002"), False, False),
        (StatementError("cancelled", sqlstate="57014"), False, False),
        (StoreError("refused"), False, False),
        (SchedulerError("another"), False, False),
        (KeyboardInterrupt(), False, False),
    ],
)
def test_errors_are_transient_by_their_class_and_code(
    error: BaseException, transient: bool, of_the_server: bool
) -> None:
    assert (is_transient(error), concerns_the_server(error)) == (transient, of_the_server)


def deadlock() -> NoReturn:
    raise DeadlockError("deadlock", sqlstate="40P01")


def test_pauses_grow_up_to_a_limit_and_attempts_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause is random: here each is as long as it can be."""
    pauses: list[float] = []
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    with pytest.raises(DeadlockError):
        JobRetries(attempts=6, longest_pause=timedelta(seconds=5))(deadlock)
    assert pauses == [0.5, 1, 2, 4, 5]
