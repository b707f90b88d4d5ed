"""A day of an offering explained (Q3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from scheduler.booking.errors import NotOfferedError, SlotTakenError
from scheduler.core.errors import InvalidInputError, NotFoundError, WallClockError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, PlanId, ResourceId, UserId
from scheduler.core.reasons import ReasonCode
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import DOCTOR, Need, WorkflowStep
from scheduler.front_door.offerings import Visibility
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.models import UserRole
from support.databases import execute, undone

pytestmark = pytest.mark.database

NOW = datetime(2027, 3, 12, 14, 30, tzinfo=UTC)  # a Friday; the clock of New York changes on Sunday
FIRST = date(2027, 3, 12)
DAYS = 9
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ZONES = ("America/New_York", "Europe/London", "Pacific/Apia")
DOCTORS = 3
LEAST_CASES = 200
NOBODY = 2**40
CLOCK = (
    "create or replace function scheduling.clock() returns timestamptz language sql volatile parallel safe"
    f" return timestamptz '{NOW.isoformat()}'"
)
MONDAY = date(2027, 3, 15)


@dataclass
class Region:
    """A facility at a quay, with Eva.

    Eva's visits at the quay have a blood sample, prepared for five minutes, and twenty minutes with her.
    """

    scheduler: Scheduler
    quay: FacilityId
    eva: DoctorId
    infusion: OfferingId
    talk: OfferingId
    sampler: ResourceId
    patient: PatientId
    user: UserId


@pytest.fixture(scope="module")
def region(database_url: str) -> Iterator[Region]:
    execute(database_url, CLOCK)
    with Scheduler(database_url, clock=lambda: NOW) as scheduler:
        scheduler.add_tenant("riverside", name="Riverside Clinics")
        with scheduler.tenant("riverside") as work:
            service, other = (work.services.add(name, duration=20 * MINUTE) for name in ("infusion", "talk"))
            patient = work.patients.add("Pat", "Low", email="pat@example.org")
            quay = work.facilities.add("quay", name="Quay", zone="Europe/London")
            eva = work.doctors.add("Eva", "Lane", at=[quay])
            template = work.step_templates.add("blood sample", duration=10 * MINUTE)
            sample = WorkflowStep(
                1, template, needs=(Need("sampler"),), requires_preparation=True, preparation=5 * MINUTE
            )
            fixed = [sample, WorkflowStep(2, work.step_templates.add("infusion", duration=20 * MINUTE))]
            infusion = work.offerings.add(service, by=eva, at=quay, steps=fixed)
            talk = work.offerings.add(other, by=eva, at=quay)
            weekdays = [Weekday(day) for day in range(1, 6)]
            half = 30 * MINUTE
            work.rules.add(eva, at=quay, on=weekdays, start=time(9), end=time(11), slot_duration=half)
            work.rules.add(eva, at=quay, on=weekdays, start=time(14), end=time(15), slot_duration=half, offering=talk)
            sampler = work.resources.add("sampler", "Sam", at=quay)
            user = work.users.add("Kim", role=UserRole.PATIENT, email="kim@example.org")
        scheduler.generate("riverside", from_day=FIRST - DAY, days=DAYS)
        yield Region(scheduler, quay, eva, infusion, talk, sampler, patient, user)


@pytest.fixture
def work(region: Region) -> Iterator[Work]:
    """A unit of work that is undone."""
    with undone(region.scheduler.tenant("riverside")) as opened:
        yield opened


def at(clock: str, day: date = MONDAY) -> datetime:
    """Return a clock time at the quay, whose offset is zero."""
    return datetime.combine(day, time.fromisoformat(clock), UTC)


def told(work: Work, region: Region, day: date = MONDAY, **asked: Any) -> dict[str, str]:
    """Return the text of each start of the infusion that is not offered."""
    starts = work.visits.explain(region.infusion, day, **asked).refused
    return {f"{start.start_at:%H:%M}": "; ".join(reason.text for reason in start.reasons) for start in starts}


def test_q3_a_day_is_told_in_local_time(work: Work, region: Region) -> None:
    """The only sampler is taken by the visit and the hold, and then away; the sample comes before the slot."""
    for clock in ("08:50", "09:20"):
        offer = work.visits.offer_at(region.infusion, at(clock))
        if clock == "08:50":
            visit = work.visits.book(offer, patient=region.patient)
        else:
            work.visits.hold(offer)
    work.exceptions.block(region.sampler, at=region.quay, between=Span(at("09:45"), at("10:00")))
    explained = work.visits.explain(region.infusion, MONDAY)
    no_room = "step 1 (blood sample) has no room: it needs 1 of sampler"
    assert str(explained).splitlines() == [
        "2027-03-15 (Europe/London): 1 offered, 5 not offered",
        f"08:50 not offered: visit {int(visit.id)} takes the doctor; {no_room}",
        f"09:20 not offered: held until 2027-03-12 14:40; {no_room}",
        f"09:50 not offered: {no_room}",
        "10:20 offered: blood sample 10:20-10:30, infusion 10:30-10:50",
        "13:50 not offered: the slots that start then are for other offerings",
        "14:20 not offered: the slots that start then are for other offerings",
    ]
    assert [start.is_offered for start in explained.starts] == [False, False, False, True, False, False]


def test_b2_a_hold_takes_its_time_from_slots_that_overlap_it(work: Work, region: Region) -> None:
    work.rules.add(
        region.eva, at=region.quay, on=Weekday.MONDAY, start=time(9, 40), end=time(10), slot_duration=20 * MINUTE
    )
    monday = Span(at("00:00"), at("23:00"))
    before = [offer.start_at for offer in work.visits.find(region.talk, between=monday, limit=99)]
    held = work.visits.hold(work.visits.offer_at(region.infusion, at("09:20")))  # with Eva from 09:30 to 09:50
    after = [offer.start_at for offer in work.visits.find(region.talk, between=monday, limit=99)]
    assert set(before) - set(after) == {at("09:30"), at("09:40")}
    assert work.visits.explain(region.talk, MONDAY).refused[1].reasons[0].until == held.ends_at


def test_a4_an_override_for_another_offering_yields_no_start_again(work: Work, region: Region) -> None:
    """At 9:00 the overrides leave a slot for talks alone."""
    mondays = [rule for rule in work.rules.of(region.eva, at=region.quay) if rule.day_of_week == Weekday.MONDAY]
    mornings, talks = sorted(mondays, key=lambda rule: rule.start_time)
    for rule, begin, end in ((mornings, "16:00", "17:00"), (talks, "09:00", "09:30")):
        work.exceptions.override(region.eva, at=region.quay, between=Span(at(begin), at(end)), rule=rule)
    work.visits.hold(work.visits.offer_at(region.talk, at("09:00")))
    assert "replaces rule" in told(work, region)["08:50"]
    talk = {start.start_at: start.reasons for start in work.visits.explain(region.talk, MONDAY).refused}
    assert [reason.code for reason in talk[at("09:00")]] == [ReasonCode.HELD]


def test_q3_who_is_not_staff_is_told_of_no_visit(region: Region) -> None:
    with region.scheduler.tenant("riverside") as work:
        visit = work.visits.book(work.visits.offer_at(region.infusion, at("08:50")), patient=region.patient)
        hold = work.visits.hold(work.visits.offer_at(region.infusion, at("09:20")))
    try:
        with undone(region.scheduler.tenant("riverside")) as work:
            explained = work.visits.explain(region.infusion, MONDAY, channel="web")
            assert f"visit {int(visit.id)} takes" in explained.refused[0].reasons[0].text
            with pytest.raises(NotOfferedError) as refused:
                work.visits.offer_at(region.infusion, at("08:50"), channel="web")
            assert refused.value.reasons == explained.refused[0].reasons
        with undone(region.scheduler.tenant("riverside", user=region.user)) as work:
            explained = work.visits.explain(region.infusion, MONDAY)
            for clock, start in zip(("08:50", "09:20"), explained.refused, strict=False):
                assert start.start_at == at(clock)
                assert start.reasons[0].text == "taken"
                assert {reason.cause_id for reason in start.reasons} == {None}
                assert {reason.until for reason in start.reasons} == {None}
                with pytest.raises(NotOfferedError) as refused:
                    work.visits.offer_at(region.infusion, at(clock))
                assert refused.value.reasons == start.reasons
    finally:
        with region.scheduler.tenant("riverside") as work:
            work.visits.release(hold)
            work.visits.cancel(visit, reason="the test is over")


def test_q3_what_is_not_generated_is_told(work: Work, region: Region) -> None:
    assert told(work, region, FIRST + 17 * DAY)["08:50"] == "not generated yet"
    work.session.connection().execute(text("delete from scheduling.availability_slots"))
    assert told(work, region)["08:50"] == "not generated yet"


def test_q3_a_past_day_has_passed(work: Work, region: Region) -> None:
    passed = told(work, region, FIRST)
    assert set(passed) == {"08:50", "09:20", "09:50", "10:20", "13:50", "14:20"}
    assert "past" in passed["08:50"]


def test_q3_a_refused_start_counts_the_preparation_of_its_first_step(work: Work, region: Region) -> None:
    work.exceptions.block(region.eva, at=region.quay, between=Span(at("09:00"), at("09:10")))
    with pytest.raises(NotOfferedError) as refused:
        work.visits.offer_at(region.infusion, at("08:50"))
    assert [reason.code for reason in refused.value.reasons] == [ReasonCode.BLOCKED]
    assert told(work, region)["08:50"].startswith("blocked exception")


def test_q3_the_reasons_of_steps_do_not_depend_on_the_policy_of_others(work: Work, region: Region) -> None:
    """The notice allows visits from 09:00 of Monday on; the sampler is away all day."""
    work.exceptions.block(region.sampler, at=region.quay, between=Span(at("00:00"), at("23:00")))
    work.policies.set(offering=region.infusion, notice=at("09:00") - NOW)
    explained = work.visits.explain(region.infusion, MONDAY).refused[0]
    with pytest.raises(NotOfferedError) as refused:
        work.visits.offer_at(region.infusion, at("08:50"))
    assert explained.start_at == at("08:50")
    assert refused.value.reasons == explained.reasons
    assert [reason.code for reason in explained.reasons] == [ReasonCode.NOTICE, ReasonCode.NO_RESOURCE]


def test_q3_explain_and_book_say_alike_that_a_resource_is_taken(work: Work, region: Region) -> None:
    """Eva works until eleven; the sampler, which the second step with her may wait for, is taken until then."""
    names = ("sampling", "infusion with a sample")
    sampling, both = (work.services.add(name, duration=20 * MINUTE) for name in names)
    long = WorkflowStep(1, work.step_templates.add("sampling", duration=60 * MINUTE), needs=[Need("sampler")])
    short, needs = work.step_templates.add("talk", duration=10 * MINUTE), [Need(DOCTOR), Need("sampler")]
    steps = [WorkflowStep(1, short), WorkflowStep(2, short, needs=needs, max_wait=60 * MINUTE)]
    other = work.offerings.add(sampling, by=region.eva, at=region.quay, steps=[long])
    asked = work.offerings.add(both, by=region.eva, at=region.quay, steps=steps)
    offer = work.visits.offer_at(asked, at("10:30"))
    work.visits.book(work.visits.offer_at(other, at("10:00")), patient=region.patient)
    explained = work.visits.explain(asked, MONDAY).refused
    (reasons,) = (start.reasons for start in explained if start.start_at == at("10:30"))
    assert [reason.code for reason in reasons] == [ReasonCode.NO_RESOURCE]
    with pytest.raises(SlotTakenError):
        work.visits.book(offer, patient=work.patients.add("Ada", "Poe", email="ada@example.org"))


def test_q3_the_statements_of_a_day_do_not_depend_on_its_starts(work: Work, region: Region) -> None:
    statements: list[str] = []
    event.listen(work.session.connection(), "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    work.rules.add(
        region.eva, at=region.quay, on=Weekday.MONDAY, start=time(16), end=time(20), slot_duration=2 * MINUTE
    )
    statements.clear()
    explained = work.visits.explain(region.infusion, MONDAY)
    assert len(explained.offered) > 100
    assert explained.refused
    assert len(statements) <= 30


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a number": ({"offering": 1}, InvalidInputError, "must be of type ServiceId or OfferingId"),
    "an unknown offering": ({"offering": OfferingId(NOBODY)}, NotFoundError, "no offering has the id"),
    "an instant": ({"day": NOW}, InvalidInputError, "visits: day must be a date"),
    "the first day": ({"day": date.min}, WallClockError, "0001-01-01"),
    "the last day": ({"day": date.max}, WallClockError, "9999-12-31"),
    "an unknown plan": ({"plan": PlanId(NOBODY)}, NotFoundError, "no insurance plan has the id"),
    "a blank channel": ({"channel": " "}, InvalidInputError, "visits: channel must be"),
}


@pytest.mark.parametrize(("argument", "error", "message"), BAD.values(), ids=BAD)
def test_q3_a_bad_question_about_a_day_is_refused(
    work: Work, region: Region, argument: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = {"offering": region.infusion, "day": MONDAY} | argument
    with pytest.raises(error, match=message):
        work.visits.explain(arguments.pop("offering"), arguments.pop("day"), **arguments)


def test_q3_an_offering_without_visits_is_not_explained(work: Work, region: Region) -> None:
    work.offerings.change(region.infusion, visibility=Visibility.PRIVATE)
    assert work.visits.explain(region.infusion, MONDAY).starts
    with pytest.raises(NotOfferedError, match="switched off or private"):
        work.visits.explain(region.infusion, MONDAY, channel="web")


def test_q3_a_day_that_the_zone_skipped_has_no_starts(work: Work, region: Region) -> None:
    work.facilities.change(region.quay, zone="Pacific/Apia")
    assert work.visits.explain(region.infusion, date(2011, 12, 30)).starts == ()
