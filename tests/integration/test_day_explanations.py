"""A day of an offering explained, against the search, over a random world (Q3)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, text

from scheduler.booking.errors import BookingError, NotOfferedError
from scheduler.core.errors import InvalidInputError, NotFoundError, WallClockError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, PlanId, UserId
from scheduler.core.reasons import ReasonCode
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import DOCTOR, Need, WorkflowStep
from scheduler.core.zones import local_day, zone_of
from scheduler.front_door.offerings import Visibility
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from support.databases import undone

pytestmark = pytest.mark.database

NOW = datetime(2027, 3, 12, 14, 30, tzinfo=UTC)  # a Friday; the clock of New York changes on Sunday
FIRST = date(2027, 3, 12)
DAYS = 12
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ZONES = ("America/New_York", "Europe/London", "Pacific/Apia")
DOCTORS = 6
LEAST_CASES = 200
NOBODY = 2**40


@dataclass
class Region:
    """Doctors with random rules, exceptions, workflows, visits and holds at three facilities."""

    scheduler: Scheduler
    offerings: list[tuple[OfferingId, FacilityId, DoctorId, str]]
    user: UserId


def steps(random: Random, work: Work) -> list[WorkflowStep]:
    """Return one to four steps; some need a nurse or a room, some the doctor again, some the same room as before."""
    template = work.step_templates.add("blood sample", duration=10 * MINUTE)
    made: list[WorkflowStep] = []
    for position in range(1, random.randint(2, 5)):
        needs = [Need(kind) for kind in ("nurse", "room", DOCTOR) if random.random() < 0.4]
        with_room = [step.position for step in made if any(need.kind == "room" for need in step.needs or ())]
        if with_room and random.random() < 0.4:
            needs = [need for need in needs if need.kind != "room"] + [Need("room", same_as=with_room[0])]
        lead = random.choice((0, 0, 5)) * MINUTE
        made.append(
            WorkflowStep(
                position,
                template,
                random.choice((5, 10, 20)) * MINUTE,
                needs=tuple(needs),
                max_wait=random.choice((0, 0, 15, 120)) * MINUTE,
                requires_preparation=bool(lead),
                preparation=lead,
            )
        )
    return made


def hours(random: Random, work: Work, doctor: DoctorId, place: FacilityId, offering: OfferingId) -> None:
    """Give a doctor rules that interleave, end and recur, and an exception of each kind."""
    for _ in range(random.randint(1, 3)):
        start = random.randrange(0, 24)
        length = random.choice((10, 20, 30))
        work.rules.add(
            doctor,
            at=place,
            on=[Weekday(day) for day in random.sample(range(7), 5)],
            start=time(start, random.choice((0, 20))),
            end=time((start + random.randint(2, 6)) % 24, 30),
            slot_duration=length * MINUTE,
            slot_interval=random.choice((None, None, 20 * MINUTE)),
            capacity=random.choice((1, 1, 2)),
            offering=random.choice((None, None, offering)),
            effective_until=random.choice((None, None, FIRST + 5 * DAY)),
        )
    for add in (work.exceptions.block, work.exceptions.emergency, work.exceptions.override):
        begin = NOW + random.randrange(DAYS * 24) * timedelta(hours=1)
        try:
            add(doctor, at=place, between=Span(begin, begin + random.choice((1, 4)) * timedelta(hours=1)))
        except InvalidInputError:  # an override must lie on one day of the facility
            add(doctor, at=place, between=Span(begin, begin + MINUTE))


@pytest.fixture(scope="module")
def region(database_url: str) -> Iterator[Region]:
    random = Random(13)  # noqa: S311  # a fixed world, not a secret
    with Scheduler(database_url, clock=lambda: NOW) as scheduler:
        scheduler.add_tenant("riverside", name="Riverside Clinics")
        offerings = []
        with scheduler.tenant("riverside") as work:
            places = [work.facilities.add(zone[:4].lower(), name=zone, zone=zone) for zone in ZONES]
            service, other = (work.services.add(name, duration=20 * MINUTE) for name in ("infusion", "talk"))
            for number in range(DOCTORS):
                place, zone = places[number % 3], ZONES[number % 3]
                doctor = work.doctors.add("Anna", "Ray", at=[place])
                buffers: dict[str, Any] = {"buffer_before": random.choice((0, 5)) * MINUTE}
                talk = work.offerings.add(other, by=doctor, at=place)
                offering = work.offerings.add(service, by=doctor, at=place, steps=steps(random, work), **buffers)
                hours(random, work, doctor, place, random.choice((talk, offering)))
                offerings.append((offering, place, doctor, zone))
            for place in places:
                for kind, name in (("nurse", "Flo"), ("room", "1"), ("room", "2")):
                    work.resources.add(kind, name, at=place)
                work.closures.add(place, FIRST + 3 * DAY)
                work.closures.add(place, FIRST + 4 * DAY, start=time(9), end=time(12))
            patients = [work.patients.add("Pat", "Low", email=f"pat{number}@example.org") for number in range(9)]
            user = work.users.add("Kim", role="patient", email="kim@example.org")  # type: ignore[arg-type]
        scheduler.generate("riverside", from_day=FIRST - DAY, days=DAYS)
        with scheduler.tenant("riverside") as work:
            take(random, work, offerings, patients)
        yield Region(scheduler, offerings, user)


def take(random: Random, work: Work, offerings: list[Any], patients: list[PatientId]) -> None:
    """Book and hold visits, cancel slots and delete slots."""
    between = Span(NOW, NOW + DAYS * DAY)
    for offering, *_ in offerings:
        found = work.visits.find(offering, between=between, limit=10_000)
        for offer in random.sample(found, len(found) // 6):
            try:
                if random.random() < 0.6:
                    work.visits.book(offer, patient=random.choice(patients))
                else:
                    work.visits.hold(offer)
            except BookingError:
                continue  # what was booked before has taken it
    connection = work.session.connection()
    for change in (
        "update scheduling.availability_slots set status = 'cancelled'",
        "update scheduling.availability_slots set status = 'reserved', reserved_until = '2040-01-01'",
        "delete from scheduling.availability_slots",
    ):
        part = "status = 'open' and booked_count = 0 and id % 23 = :rest"
        connection.execute(text(f"{change} where {part}"), {"rest": random.randrange(23)})


@pytest.fixture
def work(region: Region) -> Iterator[Work]:
    """A unit of work that is undone."""
    with undone(region.scheduler.tenant("riverside")) as opened:
        yield opened


def test_q3_a_day_offers_what_the_search_finds(work: Work, region: Region, request: pytest.FixtureRequest) -> None:
    deep = request.config.getoption("--deep")
    random = Random(request.config.option.hypothesis_seed)  # noqa: S311  # printed with those of the properties
    days = [FIRST + number * DAY for number in range(-2, DAYS + 1)]
    pairs = [(offering, zone, day) for offering, _, _, zone in region.offerings for day in days]
    random.shuffle(pairs)
    cases, codes = {True: 0, False: 0}, set()
    for offering, zone, day in pairs:
        if sum(cases.values()) >= LEAST_CASES and min(cases.values()) >= LEAST_CASES // 5 and not deep:
            break
        explained = work.visits.explain(offering, day)
        span = local_day(zone_of(zone), day)
        assert span is not None
        found = work.visits.find(offering, between=span, limit=10_000)
        first = {offer.start_at: offer for offer in reversed(found)}
        assert {start.start_at: start.offer for start in explained.offered} == first, (offering, day)
        starts = [start.start_at for start in explained.starts]
        assert starts == sorted(set(starts))
        assert len(starts) == len(explained.offered) + len(explained.refused)
        assert all(span.start <= start < span.end for start in starts)
        assert all(start.reasons for start in explained.refused), (offering, day)
        for start in explained.starts if deep else random.sample(explained.starts, min(len(starts), 20)):
            cases[start.is_offered] += 1
            if start.is_offered:
                assert work.visits.offer_at(offering, start.start_at) == start.offer
                continue
            codes |= {reason.code for reason in start.reasons}
            ranks = [list(ReasonCode).index(reason.code) for reason in start.reasons]
            assert ranks == sorted(ranks)
            with pytest.raises(NotOfferedError) as refused:
                work.visits.offer_at(offering, start.start_at)
            assert refused.value.reasons == start.reasons, (offering, start)
    assert sum(cases.values()) >= LEAST_CASES
    assert {ReasonCode.NOTICE, ReasonCode.NO_RESOURCE} <= codes if deep else len(codes) >= 3
