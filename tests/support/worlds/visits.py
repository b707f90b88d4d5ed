"""World of visits that are asked for: random schedules, workflows, policies, caps, releases, visits and holds.

Owns: the clinic of a seed, what has happened in it, and its clock.
Must not know: how anybody answers.

The clock of the clinic and the database's, by which holds end, show one instant: that of the unit of work. All days of
a clinic lie around a change of the clock of New York.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text

from oracles.booking_rules import Counted
from scheduler.booking.errors import BookingError
from scheduler.core.caps import Period
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, ServiceId, UserId
from scheduler.core.offers import VisitOffer
from scheduler.core.policies import DaysBefore
from scheduler.core.releases import Release
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import DOCTOR, Need, WorkflowStep
from scheduler.families.values import Person
from scheduler.front_door.offerings import Visibility
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.models import UserRole
from scheduler.testing.clock import FixedClock
from support.databases import execute

FIRST: Final = date(2027, 3, 12)  # a Friday; the clock of New York changes on Sunday
DAYS: Final = 5
OPENED: Final = datetime(2027, 3, 11, 12, tzinfo=UTC)
ALL: Final = Span(OPENED, OPENED + (DAYS + 2) * timedelta(days=1))
ZONES: Final = ("America/New_York", "Europe/London", "Asia/Kathmandu")
KIOSK: Final = "kiosk"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
PLAIN: Final = 20 * MINUTE
"""The length of a plain visit: one step with the doctor, no longer than any slot."""
_CLOCK: Final = """
create or replace function scheduling.clock() returns timestamptz language sql volatile parallel safe
return coalesce(nullif(current_setting('test.clock', true), '')::timestamptz, clock_timestamp())
"""


@dataclass(frozen=True, slots=True)
class Offered:
    """An offering; a plain one has a visit of one step without buffers. Staff alone see a private one."""

    id: OfferingId
    service: ServiceId
    doctor: DoctorId
    facility: FacilityId
    zone: ZoneInfo
    is_plain: bool
    is_private: bool = False


@dataclass
class VisitWorld:
    """A clinic. `bare` has the offers of each offering from before anything was booked, closed or forbidden."""

    scheduler: Scheduler
    slug: str
    clock: FixedClock
    offerings: list[Offered] = field(default_factory=list)
    patients: list[PatientId] = field(default_factory=list)
    staff: UserId | None = None
    parent: UserId | None = None
    child: PatientId | None = None
    policies: list[dict[str, Any]] = field(default_factory=list)
    caps: list[dict[str, Any]] = field(default_factory=list)
    bare: dict[OfferingId, list[VisitOffer]] = field(default_factory=dict)

    @contextmanager
    def work(self, now: datetime, user: UserId | None = None) -> Iterator[Work]:
        """Run the block as one transaction at an instant."""
        self.clock.move_to(now)
        with self.scheduler.tenant(self.slug, user=user) as work:
            work.session.connection().execute(text("select set_config('test.clock', :now, true)"), {"now": str(now)})
            yield work

    def counted(self, work: Work) -> list[Counted]:
        """Return the visits and live holds; ask as the host, who sees all."""
        services = {int(each.id): int(each.service) for each in self.offerings}
        zones = {int(each.id): each.zone for each in self.offerings}
        rows = work.session.connection().execute(text(_COUNTED)).all()
        return [
            Counted(
                row.local_start.date() if row.at is None else row.at.astimezone(zones[row.offering]).date(),
                row.offering,
                services[row.offering],
                row.doctor_id,
                row.facility_id,
                row.patient_id,
            )
            for row in rows
        ]


_COUNTED: Final = """
select local_start, null::timestamptz as at, service_offering_id as offering, doctor_id, facility_id, patient_id
from scheduling.appointments where status not in ('cancelled', 'no_show')
union all
select null, start_at, service_offering_id, doctor_id, facility_id, null
from scheduling.holds where ends_at > scheduling.clock()
"""


def visit_world(scheduler: Scheduler, clock: FixedClock, url: str, seed: int) -> VisitWorld:
    """Make the clinic of a seed in a tenant of its own. The login has to be a superuser."""
    execute(url, _CLOCK)
    random = Random(seed)  # noqa: S311  # a world, not a secret
    world = VisitWorld(scheduler, f"asked-{seed}", clock)
    clock.move_to(OPENED)
    scheduler.add_tenant(world.slug, name="Riverside")
    with world.work(OPENED) as work:
        _people(work, world)
        _schedules(random, work, world)
    admin = scheduler.add_admin(world.slug, "Stella", email="stella@example.org")
    with world.work(OPENED, admin) as work:
        world.staff = work.users.add("Stan", role=UserRole.STAFF, email="stan@example.org")
    scheduler.generate(world.slug, from_day=FIRST, days=DAYS)
    with world.work(OPENED) as work:
        for each in world.offerings:
            world.bare[each.id] = work.visits.find(each.id, between=ALL, limit=100_000)
        _happenings(random, work, world)
        _limits(random, work, world)
    return world


def _people(work: Work, world: VisitWorld) -> None:
    world.patients = [work.patients.add("Pat", "Low", email=f"pat{number}@example.org") for number in range(7)]
    world.parent = work.users.add("Sarah", role=UserRole.PARENT, email="sarah@example.org")
    family = work.families.create("Johnson", parents=[world.parent], students=[Person("Tim")])
    child = UserId(family.students[0].user_id)
    world.child = work.patients.add("Tim", "Johnson", email="tim@example.org", user=child)


def _schedules(random: Random, work: Work, world: VisitWorld) -> None:
    """Three doctors, of whom one works at both facilities, each with a plain offering and one of several steps."""
    zones = random.sample(ZONES, 2)
    places = [work.facilities.add(f"place-{number}", name=zone, zone=zone) for number, zone in enumerate(zones)]
    talk, infusion, second = (work.services.add(name, duration=PLAIN) for name in ("talk", "infusion", "second"))
    both = work.doctors.add("Beth", "Ray", at=places)
    posts = [(work.doctors.add("Anna", "Ray", at=places[:1]), 0), (both, 0), (both, 1)]
    for doctor, number in [*posts, (work.doctors.add("Cleo", "Ray", at=places[1:]), 1)]:
        place, zone = places[number], ZoneInfo(zones[number])
        plain = work.offerings.add(talk, by=doctor, at=place)
        buffers: dict[str, Any] = {f"buffer_{side}": random.choice((0, 5)) * MINUTE for side in ("before", "after")}
        stepped = work.offerings.add(infusion, by=doctor, at=place, steps=_steps(random, work), **buffers)
        world.offerings.append(Offered(plain, talk, doctor, place, zone, is_plain=True))
        world.offerings.append(Offered(stepped, infusion, doctor, place, zone, is_plain=False))
        _hours(random, work, doctor, place, random.choice((plain, stepped)))
    private = work.offerings.add(second, by=both, at=places[0], visibility=Visibility.PRIVATE)
    world.offerings.append(Offered(private, second, both, places[0], ZoneInfo(zones[0]), True, is_private=True))
    for place in places:
        nurse = work.resources.add("nurse", "Flo", at=place)
        for name in ("1", "2"):
            work.resources.add("room", name, at=place)
        if random.random() < 0.5:
            work.rules.add(nurse, at=place, on=[*Weekday], start=time(6), end=time(20))
    work.closures.add(places[0], FIRST + random.randrange(DAYS) * DAY, start=time(9), end=time(12))


def _steps(random: Random, work: Work) -> list[WorkflowStep]:
    template = work.step_templates.add("blood sample", duration=10 * MINUTE)
    steps: list[WorkflowStep] = []
    for position in range(1, random.randint(2, 4)):
        needs = [Need(kind) for kind in ("nurse", "room", DOCTOR) if random.random() < 0.5]
        lead, wait = random.choice((0, 0, 5)) * MINUTE, random.choice((0, 0, 15, 60)) * MINUTE
        length = random.choice((5, 10, 20)) * MINUTE
        prepared: dict[str, Any] = {"requires_preparation": bool(lead), "preparation": lead}
        steps.append(WorkflowStep(position, template, length, needs=tuple(needs), max_wait=wait, **prepared))
    return steps


def _hours(random: Random, work: Work, doctor: DoctorId, place: FacilityId, offering: OfferingId) -> None:
    """Give a doctor rules that interleave and are released, and an override."""
    for _ in range(random.randint(1, 2)):
        start = random.randrange(5, 18)
        at = time(random.randrange(5), random.choice((0, 30)))
        work.rules.add(
            doctor,
            at=place,
            on=[Weekday(day) for day in random.sample(range(7), 6)],
            start=time(start, random.choice((0, 20))),
            end=time(start + random.randint(2, 4), 30),
            slot_duration=random.choice((20, 30)) * MINUTE,
            slot_interval=random.choice((None, None, 20 * MINUTE)),
            capacity=random.choice((1, 1, 2)),
            offering=random.choice((None, None, offering)),
            release=random.choice((None, Release(random.choice((0, 1, 2)), at))),
        )
    begin = ALL.start + random.randrange(24, 100) * HOUR
    try:
        work.exceptions.override(doctor, at=place, between=Span(begin, begin + 2 * HOUR))
    except InvalidInputError:  # it must lie on one day of the facility
        work.exceptions.override(doctor, at=place, between=Span(begin, begin + MINUTE))


def _happenings(random: Random, work: Work, world: VisitWorld) -> None:
    """Book, hold and cancel visits, call doctors away, and change slots as a host does."""
    taken = []
    assert world.child is not None
    for each in world.offerings:
        for offer in random.sample(world.bare[each.id], len(world.bare[each.id]) // 8):
            try:
                if random.random() < 0.5:
                    taken.append(work.visits.book(offer, patient=random.choice([*world.patients[1:], world.child])))
                else:
                    work.visits.hold(offer, lasts=random.choice((4, 15, 24)) * HOUR)
            except BookingError:
                continue  # what was booked before has taken it
    for visit in random.sample(taken, len(taken) // 6):
        if random.random() < 0.5:
            work.visits.no_show(visit)
        else:
            work.visits.cancel(visit, reason="ill")
    for each in random.sample(world.offerings, 4):
        begin = ALL.start + random.randrange(24, 100) * HOUR
        call_away = random.choice((work.exceptions.block, work.exceptions.emergency))
        away = Span(begin, begin + 3 * HOUR)
        call_away(each.doctor, at=each.facility, between=away)
    for change in (
        "update scheduling.availability_slots set status = 'cancelled'",
        "update scheduling.availability_slots set status = 'reserved', reserved_until = '2040-01-01'",
        "update scheduling.availability_slots set status = 'reserved', reserved_until = '2027-03-13 10:00+00'",
        "delete from scheduling.availability_slots",
    ):
        part = "status = 'open' and booked_count = 0 and id % 29 = :rest"
        work.session.connection().execute(text(f"{change} where {part}"), {"rest": random.randrange(29)})


def _limits(random: Random, work: Work, world: VisitWorld) -> None:
    """Set policies for channels, facilities, doctors and offerings, and caps of each kind."""
    each = world.offerings[0]
    work.policies.set(channel=KIOSK, facility=each.facility, doctor=each.doctor, hold_lasts=HOUR)  # it makes the word
    some = tuple(random.sample(("channel", "doctor", "facility"), random.randint(0, 2)))
    for parts in (("channel",), ("channel", "facility"), ("channel", "doctor"), ("facility",), some):
        each = random.choice(world.offerings)
        place = {"channel": random.choice(("desk", "web", KIOSK)), "facility": each.facility, "doctor": each.doctor}
        policy: dict[str, Any] = {part: place[part] for part in parts}
        if random.random() < 0.2:
            policy = {"offering": each.id}
        until = DaysBefore(random.randint(0, 1), time(random.randint(5, 20)))
        if random.random() < 0.7:
            policy["notice"] = random.choice((random.randint(0, 30) * HOUR, until))
        if random.random() < 0.6 or "notice" not in policy:
            policy["horizon"] = random.randint(2, 4)
        work.policies.set(**policy)
        where = {part: policy.get(part) for part in ("channel", "facility", "doctor", "offering")}
        world.policies = [row for row in world.policies if any(row.get(part) != where[part] for part in where)]
        world.policies.append(policy)
    each, other, third = random.sample(world.offerings, 3)
    for target in (
        {"doctor": each.doctor},
        {"offering": other.id},
        {"service": third.service, "facility": third.facility},
        {"patient": world.patients[1]},
        {"patient": world.child},
    ):
        if random.random() < 0.6:
            per = random.choice(list(Period))
            most = random.randint(1, 3) * (3 if per is Period.WEEK else 1)
            work.caps.set(most, per=per, **target)
            world.caps.append({"most": most, "per": per, **target})


def instants(random: Random, count: int) -> Sequence[datetime]:
    """Return instants at which a clinic is asked, from its opening to its third day."""
    return [OPENED + random.randrange(0, 64) * HOUR + random.choice((0, 30)) * MINUTE for _ in range(count)]
