"""Repeated calls: a call at the desk is done once, also if it is repeated with its key.

Owns: the two attempts of a call, and the answer to a repeated one.
Holds: B3 (the same request gets the first answer).
Must not know: what a call does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from scheduler.booking.calls import at_the_desk
from scheduler.booking.errors import SlotTakenError
from scheduler.booking.people import Person, ask
from scheduler.booking.requests import Answer, begin_request, end_request
from scheduler.booking.visits import Visit, visit_of
from scheduler.front_door.repository import OfTenant
from scheduler.front_door.visit_arguments import key_of

_Result = TypeVar("_Result")
_Result_co = TypeVar("_Result_co", covariant=True)


class _First(Protocol[_Result_co]):
    """The first call with a key: what it returns, and the answer that is kept."""

    def __call__(self, *, careful: bool) -> tuple[_Result_co, Answer]: ...


class RepeatedCalls(OfTenant):
    """Calls of a tenant that may be repeated with a key."""

    def _once(
        self,
        key: str | None,
        request: list[Any],
        first: _First[_Result],
        again: Callable[[Answer], _Result],
        *,
        patients: tuple[int, ...] = (),
        visits: tuple[int, ...] = (),
    ) -> _Result:
        """Do a call at the desk, or give the answer of the first one with its key.

        If a constraint refuses what the schedule allows, the call is done again with care, which finds free resources
        or says what is taken. A user is asked again for patients and visits, which may have become another user's while
        the call waited for their locks.
        """
        is_users = self._context.user_id is not None and (patients or visits)
        then = partial(self._ask, patients=patients, visits=visits) if is_users else None
        attempt = partial(self._attempt, key, request, first, again, then=then)
        try:
            return attempt(careful=False)
        except SlotTakenError:
            return attempt(careful=True)

    def _attempt(
        self,
        key: str | None,
        request: list[Any],
        first: _First[_Result],
        again: Callable[[Answer], _Result],
        *,
        careful: bool,
        then: Callable[[], object] | None,
    ) -> _Result:
        read, actor = key_of(key), self._context.user_id
        with at_the_desk(self._session, then=then):
            answer = None if read is None else begin_request(self._session, read, actor=actor, asked=request)
            if answer is not None:
                repeated = again(answer)
                self._context.booked(key)  # a hold has a new token
                return repeated
            result, answer = first(careful=careful)
            if read is not None:
                end_request(self._session, read, actor=actor, answer=answer)
        self._context.booked(key)
        return result

    def _ask(self, *, patients: tuple[int, ...] = (), visits: tuple[int, ...] = ()) -> Person:
        """Return who asks, as `ask` does; what the host has changed counts."""
        self._session.flush()
        return ask(self._session, self._context.user_id, patients=patients, visits=visits)

    def _visit_again(self, answer: Answer) -> Visit:
        return visit_of(self._session, answer["visit"])
