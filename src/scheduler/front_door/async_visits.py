"""Async visits: the asynchronous twin of the visits of a tenant.

Owns: the list of the awaited methods, one line each.
Must not know: what the methods do (`visits`), how a call is awaited (`awaiting`).
"""

from typing import Final

from scheduler.front_door.awaiting import AsyncTwin, awaited
from scheduler.front_door.visits import Visits


class AsyncVisits(AsyncTwin[Visits]):
    """The visits of a tenant."""

    find: Final = awaited(Visits.find)
    offer_at: Final = awaited(Visits.offer_at)
    explain: Final = awaited(Visits.explain)
    hold: Final = awaited(Visits.hold)
    extend: Final = awaited(Visits.extend)
    release: Final = awaited(Visits.release)
    confirm: Final = awaited(Visits.confirm)
    book: Final = awaited(Visits.book)
    book_all: Final = awaited(Visits.book_all)
    reschedule: Final = awaited(Visits.reschedule)
    cancel: Final = awaited(Visits.cancel)
    check_in: Final = awaited(Visits.check_in)
    begin_step: Final = awaited(Visits.begin_step)
    complete_step: Final = awaited(Visits.complete_step)
    skip_step: Final = awaited(Visits.skip_step)
    complete: Final = awaited(Visits.complete)
    no_show: Final = awaited(Visits.no_show)
    undo: Final = awaited(Visits.undo)
    get: Final = awaited(Visits.get)
    of_day: Final = awaited(Visits.of_day)
    of_patient: Final = awaited(Visits.of_patient)
    delays: Final = awaited(Visits.delays)
