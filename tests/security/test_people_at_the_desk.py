"""People at the desk: one table of answers, what each call of `work.visits` gives to whom (B9).

An answer is `yes`, or why not: `unseen` (`NotFoundError`), `refused` (`NotAllowedError`), `no-hold`
(`UnknownHoldError`), `not-offered` (`NotOfferedError`), `state` (`TransitionRefusedError`: the person may, the visit
cannot), `none` (an empty list), `open` (a day with its open slots, and none of its visits).

Sarah and Paul are parents of Tim, who has a login; Ada is a patient with a login; Noah is the parent of another child;
Fred was a parent of Tim in a family that was deleted; Sue is a suspended parent of Tim. Foreign is an admin of another
tenant, and Unknown the id of nobody. A hold of the host belongs to the holder of its token, and is confirmed as it was
held, also where the offering is private (B2).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from scheduler.booking.errors import NotOfferedError, UnknownHoldError
from scheduler.booking.holds import Hold
from scheduler.booking.visits import DayPlan, Visit
from scheduler.core.caps import Period
from scheduler.core.errors import NotFoundError, TransitionRefusedError
from scheduler.core.ids import PatientId, UserId
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.spans import Span
from scheduler.families.values import Person
from scheduler.front_door.visit_booking import Booking
from scheduler.front_door.visits import Visits
from scheduler.front_door.work import Work
from scheduler.models import UserRole
from scheduler.postgres.errors import NotAllowedError
from support.databases import execute
from support.desks import Desk, on, open_desk

pytestmark = pytest.mark.database

EXPECTED: Final = """
                         host        staff       sarah       paul        tim         ada         noah        fred        sue         foreign     unknown
find public              yes         yes         yes         yes         yes         yes         yes         yes         unseen      unseen      unseen
find private             yes         yes         none        none        none        none        none        none        unseen      unseen      unseen
find private on web      none        none        none        none        none        none        none        none        unseen      unseen      unseen
find for Tim             yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
find for Ada             yes         yes         unseen      unseen      unseen      yes         unseen      unseen      unseen      unseen      unseen
offer_at public          yes         yes         yes         yes         yes         yes         yes         yes         unseen      unseen      unseen
offer_at private         yes         yes         not-offered not-offered not-offered not-offered not-offered not-offered unseen      unseen      unseen
offer_at override        yes         yes         refused     refused     refused     refused     refused     refused     unseen      unseen      unseen
hold public              yes         yes         yes         yes         yes         yes         yes         yes         not-offered not-offered not-offered
hold private             yes         yes         not-offered not-offered not-offered not-offered not-offered not-offered not-offered not-offered not-offered
hold with key            yes         yes         yes         yes         yes         yes         yes         yes         refused     refused     refused
extend of host           yes         yes         yes         yes         yes         yes         yes         yes         no-hold     no-hold     no-hold
extend of staff          yes         yes         no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold
extend of Sarah          yes         no-hold     yes         no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold
release of host          yes         yes         yes         yes         yes         yes         yes         yes         no-hold     no-hold     no-hold
release of staff         yes         yes         no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold
release of Sarah         yes         no-hold     yes         no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold     no-hold
confirm of host, Tim     yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
confirm private, Tim     yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
confirm of Sarah, Tim    yes         no-hold     yes         no-hold     no-hold     unseen      unseen      unseen      unseen      unseen      unseen
confirm of Sarah, Ada    yes         no-hold     unseen      unseen      unseen      no-hold     unseen      unseen      unseen      unseen      unseen
book Tim                 yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
book Tim private         yes         yes         not-offered not-offered not-offered unseen      unseen      unseen      unseen      unseen      unseen
book Tim desk            yes         yes         not-offered not-offered not-offered unseen      unseen      unseen      unseen      unseen      unseen
book Tim override        yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
book Ada                 yes         yes         unseen      unseen      unseen      yes         unseen      unseen      unseen      unseen      unseen
book Ada override        yes         yes         unseen      unseen      unseen      refused     unseen      unseen      unseen      unseen      unseen
book_all Tim             yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
book_all Ada             yes         yes         unseen      unseen      unseen      yes         unseen      unseen      unseen      unseen      unseen
reschedule Tim           yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
reschedule Tim private   yes         yes         not-offered not-offered not-offered unseen      unseen      unseen      unseen      unseen      unseen
reschedule Tim override  yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
reschedule Tim begun     state       state       refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
reschedule Ada           yes         yes         unseen      unseen      unseen      yes         unseen      unseen      unseen      unseen      unseen
cancel Tim               yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
cancel Tim begun         yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
cancel Ada               yes         yes         unseen      unseen      unseen      yes         unseen      unseen      unseen      unseen      unseen
check_in Tim             yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
check_in Ada             yes         yes         unseen      unseen      unseen      refused     unseen      unseen      unseen      unseen      unseen
begin_step Tim           yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
complete_step Tim        yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
skip_step Tim            yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
complete Tim             state       state       refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
no_show Tim              yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
undo Tim                 yes         yes         refused     refused     refused     unseen      unseen      unseen      unseen      unseen      unseen
get Tim                  yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
get Ada                  yes         yes         unseen      unseen      unseen      yes         unseen      unseen      unseen      unseen      unseen
of_day                   yes         yes         open        open        open        yes         open        open        unseen      unseen      unseen
of_patient Tim           yes         yes         yes         yes         yes         unseen      unseen      unseen      unseen      unseen      unseen
of_patient Ada           yes         yes         unseen      unseen      unseen      yes         unseen      unseen      unseen      unseen      unseen
explain public           yes         yes         yes         yes         yes         yes         yes         yes         unseen      unseen      unseen
explain private          yes         yes         not-offered not-offered not-offered not-offered not-offered not-offered unseen      unseen      unseen
delays                   none        none        refused     refused     refused     refused     refused     refused     unseen      unseen      unseen
"""  # noqa: E501  # a call is read by its columns
OBSERVERS: Final = EXPECTED.strip("\n").split("\n", 1)[0].split()
ANSWERS: Final = {
    line[:24].rstrip(): dict(zip(OBSERVERS, line[24:].split(), strict=True)) for line in EXPECTED.splitlines()[2:]
}
REFUSALS: Final[dict[type[Exception], str]] = {
    NotFoundError: "unseen",
    NotAllowedError: "refused",
    UnknownHoldError: "no-hold",
    NotOfferedError: "not-offered",
    TransitionRefusedError: "state",
}

A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class World:
    """A desk with people around Tim, his visits in each state, and holds."""

    desk: Desk
    users: dict[str, UserId | None]
    ada: PatientId
    public: VisitOffer
    private: VisitOffer
    capped: VisitOffer
    coming: Visit
    there: Visit
    begun: Visit
    of_ada: Visit
    of_host: Hold
    of_host_private: Hold
    of_staff: Hold
    of_sarah: Hold
    week: Span


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    with open_desk(database_url) as desk:
        yield _world(desk)


def _world(desk: Desk) -> World:
    scheduler = desk.clinic.scheduler
    scheduler.add_tenant("elsewhere", name="Elsewhere")
    foreign = scheduler.add_admin("elsewhere", "Eve", email="eve@example.org")
    with desk.work() as work:
        paul, noah, fred, sue = (
            work.users.add(name, role=UserRole.PARENT, email=f"{name}@example.org")
            for name in ("paul", "noah", "fred", "sue")
        )
        ada = work.users.add("ada", role=UserRole.PATIENT, email="ada@example.org")
        (own,) = work.families.of_user(desk.sarah)
        (child,) = work.families.get(own).students
        work.families.update(own, parents=[desk.sarah, paul, sue])
        work.families.create("Other", parents=[noah], students=[Person("Nell")])
        gone = work.families.create("Gone", parents=[fred], students=[child])
        patient = work.patients.add("Ada", "Own", email="ada@example.org", user=ada)
        work.families.delete(gone)
    users = {"host": None, "staff": desk.staff, "sarah": desk.sarah, "paul": paul, "tim": UserId(child.user_id)}
    users |= {"ada": ada, "noah": noah, "fred": fred, "sue": sue, "foreign": foreign, "unknown": UserId(uuid4())}
    execute(desk.url, f"update identity.users set status = 'suspended' where id = '{sue}'")
    days = [desk.day() for _ in range(12)]
    with desk.work() as work:
        coming = work.visits.book(desk.offer(work, on(days[0], 8, 50), desk.with_cara), patient=desk.tim)
        there, begun, of_ada = (
            work.visits.book(desk.offer(work, on(day, 9)), patient=whose)
            for day, whose in ((days[1], desk.tim), (days[2], desk.tim), (days[3], patient))
        )
        work.visits.check_in(there)
        work.visits.check_in(begun)
        work.visits.begin_step(begun, 1)
        of_host = work.visits.hold(desk.offer(work, on(days[4], 9)), lasts=A_DAY)
        of_host_private = work.visits.hold(desk.offer(work, on(days[5], 9), desk.private), lasts=A_DAY)
        public, private = desk.offer(work, on(days[6], 9)), desk.offer(work, on(days[7], 9), desk.private)
        capped = desk.offer(work, on(days[10], 10))  # Anna's cap is reached on that day, and on no other
        work.visits.book(desk.offer(work, on(days[10], 9)), patient=desk.patient(work))
        work.visits.book(desk.offer(work, on(days[10], 11)), patient=desk.patient(work))
        work.caps.set(2, per=Period.DAY, doctor=desk.clinic.anna)
    with desk.work(desk.staff) as work:
        of_staff = work.visits.hold(desk.offer(work, on(days[8], 9)), lasts=A_DAY)
    with desk.work(desk.sarah) as work:
        of_sarah = work.visits.hold(desk.offer(work, on(days[9], 9)), lasts=A_DAY)
    week = Span(on(days[0], 0), on(days[11], 0))
    return World(
        desk,
        users,
        patient,
        public,
        private,
        capped,
        coming,
        there,
        begun,
        of_ada,
        of_host,
        of_host_private,
        of_staff,
        of_sarah,
        week,
    )


Call = Callable[[Work, World], Any]
ABOVE_THE_CAP: Final = Override("referred today", [BookingRule.CAP])
MINUTES: Final = timedelta(minutes=5)
CALLS: Final[dict[str, Call]] = {
    "find public": lambda w, x: w.visits.find(x.desk.clinic.with_anna, between=x.week),
    "find private": lambda w, x: w.visits.find(x.desk.private, between=x.week),
    "find private on web": lambda w, x: w.visits.find(x.desk.private, between=x.week, channel="web"),
    "find for Tim": lambda w, x: w.visits.find(x.desk.clinic.with_anna, between=x.week, patient=x.desk.tim),
    "find for Ada": lambda w, x: w.visits.find(x.desk.clinic.with_anna, between=x.week, patient=x.ada),
    "offer_at public": lambda w, x: w.visits.offer_at(x.desk.clinic.with_anna, x.public.start_at),
    "offer_at private": lambda w, x: w.visits.offer_at(x.desk.private, x.private.start_at),
    "offer_at override": lambda w, x: w.visits.offer_at(
        x.desk.clinic.with_anna, x.capped.start_at, override=ABOVE_THE_CAP
    ),
    "hold public": lambda w, x: w.visits.hold(x.public),
    "hold private": lambda w, x: w.visits.hold(x.private),
    "hold with key": lambda w, x: w.visits.hold(x.public, key="k"),
    "extend of host": lambda w, x: w.visits.extend(x.of_host.token, lasts=MINUTES),
    "extend of staff": lambda w, x: w.visits.extend(x.of_staff.token, lasts=MINUTES),
    "extend of Sarah": lambda w, x: w.visits.extend(x.of_sarah.token, lasts=MINUTES),
    "release of host": lambda w, x: w.visits.release(x.of_host.token),
    "release of staff": lambda w, x: w.visits.release(x.of_staff.token),
    "release of Sarah": lambda w, x: w.visits.release(x.of_sarah.token),
    "confirm of host, Tim": lambda w, x: w.visits.confirm(x.of_host.token, patient=x.desk.tim),
    "confirm private, Tim": lambda w, x: w.visits.confirm(x.of_host_private.token, patient=x.desk.tim),
    "confirm of Sarah, Tim": lambda w, x: w.visits.confirm(x.of_sarah.token, patient=x.desk.tim),
    "confirm of Sarah, Ada": lambda w, x: w.visits.confirm(x.of_sarah.token, patient=x.ada),
    "book Tim": lambda w, x: w.visits.book(x.public, patient=x.desk.tim),
    "book Tim private": lambda w, x: w.visits.book(x.private, patient=x.desk.tim),
    "book Tim desk": lambda w, x: w.visits.book(x.private, patient=x.desk.tim, channel="desk"),
    "book Tim override": lambda w, x: w.visits.book(x.capped, patient=x.desk.tim, override=ABOVE_THE_CAP),
    "book Ada": lambda w, x: w.visits.book(x.public, patient=x.ada),
    "book Ada override": lambda w, x: w.visits.book(x.capped, patient=x.ada, override=ABOVE_THE_CAP),
    "book_all Tim": lambda w, x: w.visits.book_all([Booking(x.public, x.desk.tim)]),
    "book_all Ada": lambda w, x: w.visits.book_all([Booking(x.public, x.ada)]),
    "reschedule Tim": lambda w, x: w.visits.reschedule(x.coming, to=x.public),
    "reschedule Tim private": lambda w, x: w.visits.reschedule(x.coming, to=x.private),
    "reschedule Tim override": lambda w, x: w.visits.reschedule(x.coming, to=x.capped, override=ABOVE_THE_CAP),
    "reschedule Tim begun": lambda w, x: w.visits.reschedule(x.there, to=x.public),
    "reschedule Ada": lambda w, x: w.visits.reschedule(x.of_ada, to=x.public),
    "cancel Tim": lambda w, x: w.visits.cancel(x.coming, reason="ill"),
    "cancel Tim begun": lambda w, x: w.visits.cancel(x.there, reason="ill"),
    "cancel Ada": lambda w, x: w.visits.cancel(x.of_ada, reason="ill"),
    "check_in Tim": lambda w, x: w.visits.check_in(x.coming),
    "check_in Ada": lambda w, x: w.visits.check_in(x.of_ada),
    "begin_step Tim": lambda w, x: w.visits.begin_step(x.there, 1),
    "complete_step Tim": lambda w, x: w.visits.complete_step(x.begun, 1),
    "skip_step Tim": lambda w, x: w.visits.skip_step(x.coming, 1),
    "complete Tim": lambda w, x: w.visits.complete(x.begun),
    "no_show Tim": lambda w, x: w.visits.no_show(x.coming),
    "undo Tim": lambda w, x: w.visits.undo(x.there),
    "get Tim": lambda w, x: w.visits.get(x.coming),
    "get Ada": lambda w, x: w.visits.get(x.of_ada),
    "of_day": lambda w, x: w.visits.of_day(x.desk.clinic.anna, x.of_ada.local_start.date()),
    "of_patient Tim": lambda w, x: w.visits.of_patient(x.desk.tim),
    "of_patient Ada": lambda w, x: w.visits.of_patient(x.ada),
    "explain public": lambda w, x: w.visits.explain(x.desk.clinic.with_anna, x.of_ada.local_start.date()),
    "explain private": lambda w, x: w.visits.explain(x.desk.private, x.of_ada.local_start.date()),
    "delays": lambda w, x: w.visits.delays(x.desk.clinic.anna),
}


def answer(world: World, call: str, observer: str) -> str:
    """Make a call as a person, keep nothing of it, and name what it gave."""
    try:
        with world.desk.tried(world.users[observer]) as work:
            result = CALLS[call](work, world)
    except tuple(REFUSALS) as error:
        return REFUSALS[type(error)]
    if isinstance(result, DayPlan) and not result.visits:
        return "open"
    return "none" if result == [] else "yes"


def test_the_answers_have_every_call() -> None:
    calls = {name for name in dir(Visits) if not name.startswith("_")}
    assert {call.split()[0] for call in CALLS} == calls
    assert list(ANSWERS) == list(CALLS)


@pytest.mark.parametrize("call", CALLS)
def test_b9_a_call_gives_each_person_what_is_theirs(world: World, call: str) -> None:
    assert {observer: answer(world, call, observer) for observer in OBSERVERS} == ANSWERS[call]
