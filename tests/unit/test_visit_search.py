"""The search for visits by example: times (Q1), what narrows them (Q2), and the resources of steps (W7)."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from scheduler.core.calendars import DoctorCalendar, Resource, calendar_with, resource_with
from scheduler.core.candidates import Candidate
from scheduler.core.errors import InvalidInputError, InvalidWorkflowError
from scheduler.core.offers import VisitOffer
from scheduler.core.releases import Release
from scheduler.core.resource_hours import beyond_hours
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.search import find_visits, visit_at, visit_without_slot
from scheduler.core.slots import SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.uses import Use
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import Need, StepTemplate, Workflow, WorkflowStep
from scheduler.core.zones import micros

DOCTOR, NURSE, ROOM = Need("doctor"), Need("nurse"), Need("room")
MONDAY = 1


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def at(text: str) -> datetime:
    """Return an instant of Monday 2027-03-01, or of a day that the text begins with, as in `02T09:00`."""
    return datetime.fromisoformat(f"2027-03-{text if 'T' in text else f'01T{text}'}:00+00:00")


def span(start: str, end: str) -> Span:
    return Span(at(start), at(end))


THE_DAY = span("00:00", "02T00:00")


def rule(start: str, end: str, slot: float = 20, **fields: Any) -> AvailabilityRule:
    values: dict[str, Any] = {"id": 1, "day_of_week": MONDAY, "slot_duration": minutes(slot)} | fields
    return AvailabilityRule(start_time=time.fromisoformat(start), end_time=time.fromisoformat(end), **values)


def block(start: str, end: str, kind: ExceptionType = ExceptionType.BLOCKED, **fields: Any) -> AvailabilityException:
    return AvailabilityException(fields.pop("id", 1), kind, at(start), at(end), **fields)


def schedule(*rules: AvailabilityRule, doctor: int = 7, facility: int = 5, **fields: Any) -> Schedule:
    return Schedule(doctor, facility, rules=rules, **{"zone": "Europe/London"} | fields)


def step(position: int, length: float, *needs: Need, lead: float = 0, wait: float = 0) -> WorkflowStep:
    return WorkflowStep(
        position,
        StepTemplate(1, "step", minutes(length)),
        requires_preparation=lead > 0,
        preparation=minutes(lead),
        max_wait=minutes(wait),
        needs=needs,
        can_be_skipped=position > 1,
    )


def visit(*steps: WorkflowStep) -> Workflow:
    return Workflow(1, "visit", 1, steps)


CONSULTATION = visit(step(1, 20, DOCTOR))
MORNING = schedule(rule("09:00", "10:00"))


def candidate(
    workflow: Workflow = CONSULTATION,
    plan: Schedule = MORNING,
    *uses: Span | Use,
    full: Iterable[SlotIdentity] = (),
    **fields: Any,
) -> Candidate:
    """Return a candidate whose doctor has some uses."""
    taken = [use if isinstance(use, Use) else Use(use) for use in uses]
    calendar = DoctorCalendar(plan, taken, tuple(full))
    return Candidate(fields.pop("offering_id", 1), workflow, calendar, **fields)


def nurse(number: int, *uses: Span, **fields: Any) -> Resource:
    values: dict[str, Any] = {"kind": "nurse", "facility_id": 5, "uses": uses} | fields
    return Resource(number, **values)


def room(number: int, *uses: Span, **fields: Any) -> Resource:
    return nurse(number, *uses, kind="room", **fields)


def slot(start: str, end: str, offering_id: int | None = None) -> SlotIdentity:
    return SlotIdentity(at(start), at(end), 7, 5, offering_id)


def shown(offer: VisitOffer) -> str:
    """Return an offer as text: start and end of each step, and the ids of its resources."""
    return ", ".join(
        " ".join(
            [
                f"{one.start_at:%H:%M}-{one.end_at:%H:%M}",
                *(f"{kind} {'+'.join(map(str, ids))}" for kind, ids in sorted(one.resources.items())),
            ]
        )
        for one in offer.steps
    )


def search(
    candidates: Candidate | list[Candidate], *resources: Resource, within: Span = THE_DAY, **narrow: Any
) -> list[str]:
    """Return the offers of a search as texts."""
    several = candidates if isinstance(candidates, list) else [candidates]
    return [shown(offer) for offer in find_visits(several, resources, within, **narrow)]


def starts(*arguments: Any, **narrow: Any) -> list[str]:
    """Return the starts of the offers of a search."""
    return [text[:5] for text in search(*arguments, **narrow)]


def test_q1_each_slot_offers_one_visit() -> None:
    assert search(candidate()) == ["09:00-09:20", "09:20-09:40", "09:40-10:00"]


def test_q1_an_offer_names_its_offering_workflow_slot_and_steps() -> None:
    workflow = Workflow(4, "visit", 1, (step(1, 20, DOCTOR),))
    (offer,) = find_visits([candidate(workflow, offering_id=3)], [], span("09:20", "09:40"))
    assert (offer.offering_id, offer.workflow_id, offer.slot.identity) == (3, 4, slot("09:20", "09:40"))
    assert [one.step for one in offer.steps] == list(workflow.steps)
    assert (offer.start_at, offer.end_at) == (at("09:20"), at("09:40"))
    assert offer.start_at.tzinfo is UTC


def test_q1_a_visit_may_be_longer_or_shorter_than_its_slot() -> None:
    assert search(candidate(visit(step(1, 30, DOCTOR)))) == ["09:00-09:30", "09:20-09:50"]
    assert search(candidate(visit(step(1, 5, DOCTOR)))) == ["09:00-09:05", "09:20-09:25", "09:40-09:45"]


def test_q1_a_pause_between_slots_is_working_time() -> None:
    pauses = schedule(rule("09:00", "10:00", slot=10, slot_interval=minutes(30)))
    assert search(candidate(visit(step(1, 30, DOCTOR)), pauses)) == ["09:00-09:30", "09:30-10:00"]


def test_q1_what_is_taken_in_another_week_is_known_by_its_times() -> None:
    several = schedule(rule("09:00", "10:00", capacity=2))
    shared = Use(span("09:40", "10:00"), slot("09:40", "10:00"))
    uses, full = [span("08:00", "09:10"), span("09:15", "09:16")], [slot("09:00", "09:20")]
    times = [(micros(use.start), micros(use.end)) for use in uses]
    for plan, of_plan in ((several, [shared]), (MORNING, [])):
        known = candidate(CONSULTATION, plan, *uses, *of_plan, full=full)
        ends = [(micros(each.start_at), micros(each.end_at), None) for each in full]
        again = replace(known, calendar=calendar_with(known.calendar, times, of_plan, ends))
        assert starts(again) == starts(known) == ["09:20", "09:40"]
    assert starts(replace(known, calendar=calendar_with(known.calendar, []))) == ["09:00", "09:20", "09:40"]


def test_q1_resources_are_taken_in_another_week_by_its_times() -> None:
    workflow, opened = visit(step(1, 20, DOCTOR, NURSE)), schedule(rule("09:00", "09:40", 40))
    known = nurse(3, span("09:00", "09:20"), opening=opened)
    again = resource_with(known, [(micros(at("09:00")), micros(at("09:20")))])
    assert starts(candidate(workflow), again) == starts(candidate(workflow), known) == ["09:20"]
    assert starts(candidate(workflow), resource_with(known, [])) == ["09:00", "09:20"]


def test_q1_a_full_slot_and_one_of_another_offering_have_no_visit() -> None:
    full = [slot("09:20", "09:40")]
    assert starts(candidate(full=full)) == ["09:00", "09:40"]
    for_each = schedule(
        rule("09:00", "09:40", service_offering_id=1),
        rule("10:00", "10:40", id=2, service_offering_id=2),
        rule("11:00", "11:40", id=3),
    )
    assert starts(candidate(plan=for_each)) == ["09:00", "09:20", "11:00", "11:20"]


def test_q1_a_use_of_the_doctor_takes_exactly_its_time() -> None:
    assert starts(candidate(CONSULTATION, MORNING, span("09:20", "09:40"))) == ["09:00", "09:40"]
    assert starts(candidate(CONSULTATION, MORNING, span("09:19", "09:40"))) == ["09:40"]
    assert starts(candidate(CONSULTATION, MORNING, span("09:20", "09:41"))) == ["09:00"]


def test_q1_a_doctor_works_in_windows_without_removed_time() -> None:
    long = visit(step(1, 60, DOCTOR))
    day = rule("09:00", "12:00", slot=30)
    assert starts(candidate(long, schedule(day))) == ["09:00", "09:30", "10:00", "10:30", "11:00"]
    closed = schedule(day, closures=[Closure(1, at("00:00").date(), time(10, 15), time(10, 30))])
    assert starts(candidate(long, closed)) == ["09:00", "10:30", "11:00"]
    away = schedule(day, closures=[Closure(1, at("00:00").date())])
    assert starts(candidate(long, away)) == []
    for kind in (ExceptionType.BLOCKED, ExceptionType.EMERGENCY):
        blocked = schedule(day, exceptions=[block("10:15", "10:30", kind)])
        assert starts(candidate(long, blocked)) == ["09:00", "10:30", "11:00"]


def test_q1_a_block_of_one_rule_leaves_the_windows_of_others() -> None:
    two = (rule("09:00", "10:00", slot=60), rule("09:30", "11:00", slot=30, id=2))
    long = visit(step(1, 60, DOCTOR))
    assert starts(candidate(long, schedule(*two))) == ["09:00", "09:30", "10:00"]
    one = block("09:00", "09:15", rule_id=1)
    assert starts(candidate(long, schedule(*two, exceptions=[one]))) == ["09:30", "10:00"]
    other = block("09:00", "09:45", rule_id=2)  # the first rule still has this time
    assert starts(candidate(long, schedule(*two, exceptions=[other]))) == ["09:00", "10:00"]


def test_q1_an_override_is_working_time() -> None:
    override = block("09:30", "11:00", ExceptionType.OVERRIDE, slot_duration=minutes(30))
    assert starts(candidate(visit(step(1, 60, DOCTOR)), schedule(rule("09:00", "10:00"), exceptions=[override]))) == [
        "09:30",
        "10:00",
    ]
    alone = schedule(exceptions=[override])
    assert starts(candidate(plan=alone)) == ["09:30", "10:00", "10:30"]


def test_q1_windows_that_touch_are_one_working_time() -> None:
    touching = schedule(rule("09:00", "09:30", slot=30), rule("09:30", "10:00", slot=30, id=2))
    assert starts(candidate(visit(step(1, 60, DOCTOR)), touching)) == ["09:00"]


def test_q1_the_first_step_with_the_doctor_starts_with_the_slot() -> None:
    three = visit(step(1, 5), step(2, 10, NURSE), step(3, 20, DOCTOR), step(4, 10, DOCTOR))
    assert search(candidate(three), nurse(3)) == [
        "08:45-08:50, 08:50-09:00 nurse 3, 09:00-09:20, 09:20-09:30",
        "09:05-09:10, 09:10-09:20 nurse 3, 09:20-09:40, 09:40-09:50",
    ]


def test_q1_without_the_doctor_the_first_step_starts_with_the_slot() -> None:
    sample = visit(step(1, 5, NURSE), step(2, 40))
    taken = candidate(sample, MORNING, span("09:00", "10:00"), buffer_before=minutes(5), buffer_after=minutes(5))
    assert search(taken, nurse(3, span("09:21", "09:22"))) == [
        "09:00-09:05 nurse 3, 09:05-09:45",
        "09:40-09:45 nurse 3, 09:45-10:25",
    ]


def test_q1_earlier_steps_are_late_and_later_steps_early() -> None:
    three = visit(
        step(1, 5, NURSE), step(2, 5, ROOM, wait=20), step(3, 20, DOCTOR, wait=20), step(4, 10, NURSE, wait=30)
    )
    only = schedule(rule("09:00", "09:20"))
    assert search(candidate(three, only), nurse(3), room(4)) == [
        "08:50-08:55 nurse 3, 08:55-09:00 room 4, 09:00-09:20, 09:20-09:30 nurse 3"
    ]
    busy = nurse(3, span("08:40", "08:50"), span("08:51", "08:58"), span("09:15", "09:45"))
    assert search(candidate(three, only), busy, room(4, span("08:58", "09:00"))) == [
        "08:35-08:40 nurse 3, 08:53-08:58 room 4, 09:00-09:20, 09:45-09:55 nurse 3"
    ]


@pytest.mark.parametrize(("wait", "found"), [(14, 0), (15, 1), (16, 1)])
def test_q1_a_wait_lasts_at_most_its_bound(wait: int, found: int) -> None:
    after = visit(step(1, 20, DOCTOR, wait=60), step(2, 5, NURSE, wait=wait))
    before = visit(step(1, 5, NURSE, wait=60), step(2, 20, DOCTOR, wait=wait))
    only = schedule(rule("09:00", "09:20"))
    assert len(search(candidate(after, only), nurse(3, span("09:20", "09:35")))) == found
    assert len(search(candidate(before, only), nurse(3, span("08:45", "09:00")))) == found


def test_q1_a_step_waits_for_the_sake_of_a_later_one() -> None:
    three = visit(step(1, 20, DOCTOR), step(2, 5, NURSE, wait=30), step(3, 5, ROOM, wait=2))
    only = schedule(rule("09:00", "09:20"))
    assert search(candidate(three, only), nurse(3), room(4, span("09:00", "09:40"))) == [
        "09:00-09:20, 09:33-09:38 nurse 3, 09:40-09:45 room 4"
    ]


def test_q1_preparation_takes_the_resources_before_the_start() -> None:
    prepared = visit(step(1, 20, DOCTOR, lead=5))
    assert starts(candidate(prepared)) == ["09:20", "09:40"]  # nobody works at 08:55
    assert starts(candidate(prepared, MORNING, span("09:17", "09:18"))) == ["09:40"]
    later = visit(step(1, 20, DOCTOR), step(2, 10, NURSE, lead=5, wait=5))
    only = schedule(rule("09:00", "09:20"))
    assert search(candidate(later, only), nurse(3)) == ["09:00-09:20, 09:25-09:35 nurse 3"]
    assert search(candidate(later, only), nurse(3, span("09:20", "09:22"))) == ["09:00-09:20, 09:27-09:37 nurse 3"]
    assert search(candidate(later, only), nurse(3, span("09:20", "09:26"))) == []


def test_q1_offers_come_by_start_then_candidate_then_slot() -> None:
    late = visit(step(1, 10), step(2, 20, DOCTOR))
    lengths = schedule(rule("09:00", "10:00", slot=30), rule("09:00", "10:00", slot=20, id=2))
    both = [candidate(late, lengths, offering_id=1), candidate(visit(step(1, 20, DOCTOR)), offering_id=2)]
    found = find_visits(both, [], span("08:00", "09:15"))
    assert [(f"{one.steps[0].start_at:%H:%M}", one.offering_id, f"{one.slot.end_at:%H:%M}") for one in found] == [
        ("08:50", 1, "09:20"),
        ("08:50", 1, "09:30"),
        ("09:00", 2, "09:20"),
        ("09:10", 1, "09:40"),
    ]
    same = [candidate(offering_id=number) for number in (8, 2, 5)]
    found = find_visits(same, [], span("09:00", "09:20"))
    assert [one.offering_id for one in found] == [8, 2, 5]


def test_q1_a_later_slot_may_have_an_earlier_visit() -> None:
    plain = candidate(visit(step(1, 10, DOCTOR)))
    long = candidate(visit(step(1, 30), step(2, 10, DOCTOR)))
    assert starts([plain, long]) == ["08:30", "08:50", "09:00", "09:10", "09:20", "09:40"]
    assert starts([long, plain]) == ["08:30", "08:50", "09:00", "09:10", "09:20", "09:40"]


def test_q1_the_span_holds_the_start_of_the_visit() -> None:
    early = candidate(visit(step(1, 10), step(2, 20, DOCTOR)))
    assert starts(early) == ["08:50", "09:10", "09:30"]
    assert starts(early, within=span("08:50", "09:30")) == ["08:50", "09:10"]
    assert starts(early, within=span("08:51", "09:31")) == ["09:10", "09:30"]
    assert starts(early, within=span("11:00", "12:00")) == []
    assert starts([early, candidate()], within=span("08:50", "09:20")) == ["08:50", "09:00", "09:10"]


# Weeks are counted from 2000-01-01T00:00Z: one begins on Saturday 2027-03-06.
NIGHT = schedule(rule("23:30", "01:00", slot=30, day_of_week=5))


def test_q1_visits_cross_the_night_in_which_a_week_begins() -> None:
    week = span("05T12:00", "06T12:00")
    assert search(candidate(visit(step(1, 60, DOCTOR)), NIGHT), within=week) == ["23:30-00:30", "00:00-01:00"]
    before = visit(step(1, 10, NURSE), step(2, 30, DOCTOR, lead=10, wait=5), step(3, 10, NURSE))
    assert search(candidate(before, NIGHT), nurse(3), within=week) == [
        "23:40-23:50 nurse 3, 00:00-00:30, 00:30-00:40 nurse 3",
        "00:10-00:20 nurse 3, 00:30-01:00, 01:00-01:10 nurse 3",
    ]
    opening = schedule(rule("23:45", "00:15", day_of_week=5))
    short, long = (visit(step(1, length, DOCTOR, NURSE)) for length in (15, 30))
    assert search(candidate(short, NIGHT), nurse(3, opening=opening), within=week) == ["00:00-00:15 nurse 3"]
    assert search(candidate(long, NIGHT), nurse(3, opening=opening), within=week) == []


def test_q1_a_search_over_weeks_finds_the_visits_of_each() -> None:
    found = find_visits([candidate(plan=schedule(rule("09:00", "09:20")))], [], span("01T09:01", "22T09:01"))
    assert [one.slot.start_at.day for one in found] == [8, 15, 22]
    assert (
        starts(
            candidate(plan=schedule(rule("09:00", "09:20", effective_until=at("08T00:00").date()))),
            within=span("09T00:00", "31T00:00"),
        )
        == []
    )


def test_q1_a_wait_may_last_for_weeks() -> None:
    after = visit(step(1, 20, DOCTOR), step(2, 5, NURSE, wait=12 * 1440))
    away = nurse(3, span("01T00:00", "12T00:00"))
    (offer,) = find_visits([candidate(after, schedule(rule("09:00", "09:20")))], [away], THE_DAY)
    assert offer.steps[1].start_at == at("12T00:00")
    before = visit(step(1, 5, NURSE), step(2, 20, DOCTOR, wait=12 * 1440))
    away = nurse(3, span("02T00:00", "20T00:00"))
    found = find_visits([candidate(before, schedule(rule("09:00", "09:20")))], [away], span("01T12:00", "05T00:00"))
    assert [(one.end_at - one.start_at).days for one in found] == [6, 13][:1]


def test_q1_each_facility_has_its_own_clock_and_resources() -> None:
    sample = visit(step(1, 10, DOCTOR, NURSE))
    both = [
        candidate(sample, schedule(rule("09:00", "09:20"), facility=5), offering_id=1),
        candidate(sample, schedule(rule("09:00", "09:20"), facility=6, zone="America/New_York"), offering_id=2),
    ]
    assert search(both, nurse(3)) == ["09:00-09:10 nurse 3"]
    assert search(both, nurse(3, facility_id=6)) == ["14:00-14:10 nurse 3"]
    assert search(both, room(3)) == []


def test_q1_a_clock_change_moves_the_visits_of_a_day() -> None:
    sundays = schedule(rule("00:30", "03:00", slot=30, day_of_week=0))
    long = candidate(visit(step(1, 60, DOCTOR)), sundays)
    assert starts(long, within=span("28T00:00", "29T00:00")) == ["00:30", "01:00"]  # 01:00 to 02:00 is skipped
    skipped = schedule(*sundays.rules, rule("01:15", "01:45", slot=10, id=2, day_of_week=0))
    assert starts(candidate(long.workflow, skipped), within=span("28T00:00", "29T00:00")) == ["00:30", "01:00"]


def test_q2_buffers_keep_other_uses_away_from_the_doctor() -> None:
    use = span("09:20", "09:40")
    near: dict[str, Any] = {"buffer_before": minutes(5), "buffer_after": minutes(10)}
    day = schedule(rule("09:00", "10:30", slot=10))
    short = visit(step(1, 10, DOCTOR))
    assert starts(candidate(short, day, use, **near)) == ["09:00", "09:50", "10:00", "10:10", "10:20"]
    assert starts(candidate(short, day, use, buffer_before=minutes(5))) == [
        "09:00", "09:10", "09:50", "10:00", "10:10", "10:20"
    ]  # fmt: skip
    assert starts(candidate(short, day, use, buffer_before=minutes(10), buffer_after=minutes(11))) == [
        "09:50", "10:00", "10:10", "10:20"
    ]  # fmt: skip


def test_q2_buffers_lie_once_about_the_steps_with_the_doctor() -> None:
    twice = visit(step(1, 10, DOCTOR), step(2, 10), step(3, 10, DOCTOR))
    only = schedule(rule("09:00", "09:30", slot=30))
    near: dict[str, Any] = {"buffer_before": minutes(5), "buffer_after": minutes(5)}
    assert starts(candidate(twice, only, span("09:10", "09:20"), **near)) == ["09:00"]
    assert starts(candidate(twice, only, span("08:50", "08:55"), span("09:35", "09:40"), **near)) == ["09:00"]
    assert starts(candidate(twice, only, span("08:50", "08:56"), **near)) == []
    assert starts(candidate(twice, only, span("09:34", "09:40"), **near)) == []


def test_q2_a_buffer_before_lies_before_the_preparation() -> None:
    prepared = visit(step(1, 10, DOCTOR, lead=5))
    day = schedule(rule("08:55", "09:30", slot=10, slot_alignment=minutes(20)))
    near: dict[str, Any] = {"buffer_before": minutes(10)}
    assert starts(candidate(prepared, day, span("08:40", "08:45"), **near)) == ["09:00", "09:10", "09:20"]
    assert starts(candidate(prepared, day, span("08:40", "08:46"), **near)) == ["09:10", "09:20"]


GROUP = schedule(rule("09:00", "10:00", slot=30, capacity=2))


def test_q2_uses_of_a_shared_slot_leave_it_free() -> None:
    short = visit(step(1, 20, DOCTOR))
    own = Use(span("09:00", "09:30"), slot("09:00", "09:30"))
    assert starts(candidate(short, GROUP, own)) == ["09:00", "09:30"]
    assert starts(candidate(short, GROUP, Use(span("09:00", "09:30")))) == ["09:30"]
    other = Use(span("09:00", "09:31"), slot("09:00", "09:30"))
    assert starts(candidate(short, GROUP, other)) == ["09:00"]
    single = schedule(rule("09:00", "10:00", slot=30))
    assert starts(candidate(short, single, own)) == ["09:30"]
    assert starts(candidate(short, GROUP, own, full=[slot("09:00", "09:30")])) == ["09:30"]


def test_q2_steps_with_the_doctor_stay_within_a_shared_slot() -> None:
    assert starts(candidate(visit(step(1, 30, DOCTOR)), GROUP)) == ["09:00", "09:30"]
    assert starts(candidate(visit(step(1, 31, DOCTOR)), GROUP)) == []
    assert starts(candidate(visit(step(1, 10, DOCTOR, lead=5)), GROUP)) == []
    assert starts(candidate(visit(step(1, 10, DOCTOR), step(2, 10, DOCTOR, lead=10)), GROUP)) == ["09:00", "09:30"]
    assert starts(candidate(visit(step(1, 10, DOCTOR), step(2, 11, DOCTOR, lead=10)), GROUP)) == []
    around = visit(step(1, 10), step(2, 30, DOCTOR), step(3, 10))
    assert search(candidate(around, GROUP)) == [
        "08:50-09:00, 09:00-09:30, 09:30-09:40",
        "09:20-09:30, 09:30-10:00, 10:00-10:10",
    ]


def test_q2_the_whole_visit_leaves_the_patients_own_visits_alone() -> None:
    three = visit(step(1, 10), step(2, 20, DOCTOR, lead=5), step(3, 10, wait=30))
    only = candidate(three, schedule(rule("08:55", "10:00", slot_alignment=minutes(60), slot=60)))
    assert search(only) == ["08:45-08:55, 09:00-09:20, 09:20-09:30"]
    for own in (span("08:45", "08:46"), span("08:55", "09:00"), span("08:59", "09:01"), span("09:10", "09:11")):
        assert search(only, patient=[own]) == []
    assert search(only, patient=[span("09:29", "09:40")]) == []
    assert len(search(only, patient=[span("08:40", "08:45"), span("09:30", "09:40")])) == 1


def test_q2_a_policy_bounds_the_starts() -> None:
    assert starts(candidate(bookable=span("09:20", "09:40"))) == ["09:20"]
    assert starts(candidate(bookable=span("09:01", "09:41"))) == ["09:20", "09:40"]
    assert starts(candidate(bookable=span("12:00", "13:00"))) == []
    assert starts([candidate(bookable=span("09:00", "09:01")), candidate(bookable=span("09:40", "09:41"))]) == [
        "09:00",
        "09:40",
    ]


def test_q4_a_full_day_has_no_starts() -> None:
    capped = span("09:20", "09:40"), span("08:00", "09:00")
    assert starts(candidate())[:3] == ["09:00", "09:20", "09:40"]
    assert starts(candidate(capped=capped))[:2] == ["09:00", "09:40"]
    assert starts(candidate(capped=capped, bookable=span("09:20", "09:41"))) == ["09:40"]
    assert starts(candidate(capped=capped), weekdays=[Weekday.MONDAY])[:2] == ["09:00", "09:40"]
    for offer in find_visits([candidate()], [], span("09:00", "10:00")):
        found = visit_at(candidate(capped=capped), [], offer.wanted)
        assert found == (None if offer.start_at == at("09:20") else offer)


def test_q2_weekdays_and_part_of_day_are_on_the_facilitys_clock() -> None:
    days = schedule(*(rule("23:00", "01:00", slot=30, id=day + 1, day_of_week=day) for day in (1, 2)), zone="Asia/Gaza")
    week = span("01T00:00", "04T00:00")  # Gaza is two hours ahead
    all_of_them = ["21:00", "21:30", "22:00", "22:30"]
    assert starts(candidate(plan=days), within=week) == all_of_them * 2
    assert starts(candidate(plan=days), within=week, weekdays=[Weekday.MONDAY]) == all_of_them[:2]
    assert starts(candidate(plan=days), within=week, weekdays=[Weekday.WEDNESDAY]) == all_of_them[2:]
    assert starts(candidate(plan=days), within=week, weekdays=[Weekday.MONDAY, Weekday.WEDNESDAY]) == all_of_them
    for part, found in (
        ((time(23), time(23, 30)), all_of_them[:1]),
        ((time(23, 1), time(23, 31)), all_of_them[1:2]),
        ((time(23, 30), time(0, 30)), all_of_them[1:3]),
        ((time(0), time(12)), all_of_them[2:]),
        ((time(5), time(5)), all_of_them),
        ((time(12), time(0)), all_of_them[:2]),
    ):
        assert starts(candidate(plan=days), within=week, part_of_day=part) == found * 2
    assert starts(
        candidate(plan=days), within=week, weekdays=[Weekday.TUESDAY], part_of_day=(time(23, 30), time(0, 30))
    ) == ["22:00", "21:30"]


TO_THE_NURSE_FIRST = visit(step(1, 5, NURSE), step(2, 20, DOCTOR, wait=15))


def test_q2_a_slot_offers_the_visit_that_is_asked_for() -> None:
    noon = candidate(TO_THE_NURSE_FIRST, schedule(rule("12:10", "12:30")))
    assert starts(noon, nurse(3)) == ["12:05"]
    morning: dict[str, Any] = {"part_of_day": (time(9), time(12))}
    assert search(noon, nurse(3), **morning) == ["11:59-12:04 nurse 3, 12:10-12:30"]
    assert starts(noon, nurse(3, span("11:57", "11:58")), **morning) == ["11:59"]
    assert starts(noon, nurse(3, span("12:03", "12:05")), **morning) == ["11:58"]
    assert starts(noon, nurse(3, span("11:54", "12:05")), **morning) == []
    assert starts(candidate(noon.workflow, noon.calendar.schedule, bookable=span("08:00", "12:01")), nurse(3)) == [
        "12:00"
    ]
    midnight = candidate(TO_THE_NURSE_FIRST, schedule(rule("00:10", "00:30", day_of_week=2)))
    assert starts(midnight, nurse(3), within=span("01T00:00", "03T00:00"), weekdays=[Weekday.MONDAY]) == ["23:59"]


def test_q2_a_slot_offers_a_later_end_for_the_start_asked_for() -> None:
    shared = visit(step(1, 5, NURSE), step(2, 20, DOCTOR, wait=15), step(3, 5, Need("nurse", same_as=1), wait=15))
    staff = [nurse(9, span("08:55", "09:10")), nurse(3, span("09:30", "09:40"))]
    only = schedule(rule("09:10", "09:30"))
    assert search(candidate(shared, only), *staff) == ["08:50-08:55 nurse 9, 09:10-09:30, 09:30-09:35 nurse 9"]
    late = ["09:05-09:10 nurse 3, 09:10-09:30, 09:40-09:45 nurse 3"]
    assert search(candidate(shared, only), *staff, part_of_day=(time(9), time(12))) == late
    assert search(candidate(shared, only, bookable=span("09:00", "17:00")), *staff) == late
    assert search(candidate(shared, only), *staff, within=span("09:00", "17:00")) == []


def test_q2_a_start_between_minutes_is_asked_as_it_is() -> None:
    seconds = schedule(rule("11:59:30", "12:19:30"))
    assert starts(candidate(plan=seconds), part_of_day=(time(9), time(12))) == ["11:59"]
    assert starts(candidate(plan=seconds), part_of_day=(time(11, 59, 30), time(11, 59, 31))) == ["11:59"]
    assert starts(candidate(plan=seconds), part_of_day=(time(11, 59, 31), time(12))) == []
    first = candidate(visit(step(1, 5), step(2, 20, DOCTOR, wait=15)), schedule(rule("12:10", "12:30")))
    part = time(12, 4, 10), time(12, 4, 20)
    (offer,) = find_visits([first], [], THE_DAY, part_of_day=part)
    assert offer.start_at == at("12:04") + timedelta(seconds=10)


def test_q2_a_repeated_hour_belongs_twice_to_a_part_of_the_day() -> None:
    nights = schedule(rule("00:30", "03:00", slot=30, day_of_week=0))
    within = Span(datetime(2027, 10, 30, 22, tzinfo=UTC), datetime(2027, 10, 31, 6, tzinfo=UTC))
    part = (time(1), time(1, 30))
    assert starts(candidate(plan=nights), within=within, part_of_day=part) == ["00:00", "01:00"]


def test_w7_a_step_takes_the_first_free_resources_of_its_kind() -> None:
    two = visit(step(1, 20, DOCTOR, Need("nurse", 2), ROOM))
    only = schedule(rule("09:00", "09:20"))
    staff = [nurse(9), room(2), nurse(3), nurse(6)]
    assert search(candidate(two, only), *staff) == ["09:00-09:20 nurse 9+3 room 2"]
    assert search(candidate(two, only), nurse(9, span("09:10", "09:11")), *staff[1:]) == [
        "09:00-09:20 nurse 3+6 room 2"
    ]
    assert search(candidate(two, only), *staff[:2]) == []
    assert search(candidate(two, only), *staff[2:]) == []
    # Two are free at each minute, but no two of them for the whole step.
    split = [nurse(1, span("09:00", "09:10")), nurse(2, span("09:10", "09:20")), nurse(3)]
    assert search(candidate(two, only), *split, room(4)) == []


def test_w7_a_resource_serves_within_its_opening() -> None:
    sample = visit(step(1, 10, DOCTOR, NURSE, lead=5))
    day = schedule(rule("08:00", "10:00", slot=30))
    opening = schedule(
        rule("08:25", "08:40", slot=5), rule("09:30", "10:00", id=2), exceptions=[block("09:40", "09:50")]
    )
    assert starts(candidate(sample, day), nurse(3, opening=opening)) == ["08:30"]
    assert starts(candidate(sample, day), nurse(3, span("08:24", "08:26"), opening=opening)) == []


def test_w7_same_resources_serve_the_steps_that_share_them() -> None:
    shared = visit(step(1, 10, NURSE), step(2, 20, DOCTOR), step(3, 10, Need("nurse", same_as=1), wait=30))
    only = schedule(rule("09:00", "09:20"))
    assert search(candidate(shared, only), nurse(9), nurse(3)) == [
        "08:50-09:00 nurse 9, 09:00-09:20, 09:20-09:30 nurse 9"
    ]
    busy = nurse(9, span("09:00", "09:25"))  # the other one ends earlier
    assert search(candidate(shared, only), busy, nurse(3)) == ["08:50-09:00 nurse 3, 09:00-09:20, 09:20-09:30 nurse 3"]
    assert search(candidate(shared, only), busy) == ["08:50-09:00 nurse 9, 09:00-09:20, 09:25-09:35 nurse 9"]
    assert search(candidate(shared, only), nurse(9, span("09:00", "11:00")), nurse(3, span("08:00", "09:00"))) == []
    late = nurse(9, span("08:55", "09:00"))
    waiting = visit(step(1, 10, NURSE), step(2, 20, DOCTOR, wait=10), step(3, 10, Need("nurse", same_as=1)))
    assert search(candidate(waiting, only), late, nurse(3)) == ["08:50-09:00 nurse 3, 09:00-09:20, 09:20-09:30 nurse 3"]
    assert search(candidate(waiting, only), late, nurse(3, span("09:00", "10:00"))) == [
        "08:45-08:55 nurse 9, 09:00-09:20, 09:20-09:30 nurse 9"
    ]


def test_w7_several_same_resources_serve_together() -> None:
    two, again = Need("nurse", 2), Need("nurse", 2, same_as=1)
    shared = visit(step(1, 10, two), step(2, 20, DOCTOR), step(3, 10, again))
    only = schedule(rule("09:00", "09:20"))
    staff = [nurse(9), nurse(3, span("09:20", "09:21")), nurse(6)]
    assert search(candidate(shared, only), *staff) == ["08:50-09:00 nurse 9+6, 09:00-09:20, 09:20-09:30 nurse 9+6"]
    assert search(candidate(shared, only), *staff[:2]) == []


def test_w7_each_group_of_steps_has_its_own_resources() -> None:
    groups = visit(
        step(1, 10, NURSE),
        step(2, 10, NURSE),
        step(3, 20, DOCTOR),
        step(4, 10, Need("nurse", same_as=1)),
        step(5, 10, Need("nurse", same_as=2), Need("room")),
    )
    only = schedule(rule("09:00", "09:20"))
    staff = [nurse(9, span("09:20", "09:30")), nurse(3, span("08:50", "08:51")), room(1)]
    assert search(candidate(groups, only), *staff) == [
        "08:40-08:50 nurse 3, 08:50-09:00 nurse 9, 09:00-09:20, 09:20-09:30 nurse 3, 09:30-09:40 nurse 9 room 1"
    ]


def test_w7_steps_share_the_resources_of_a_skipped_step() -> None:
    again = Need("nurse", same_as=2)
    shared = visit(step(1, 20, DOCTOR), step(2, 10, NURSE), step(3, 10, again), step(4, 10, again))
    only = schedule(rule("09:00", "09:20"))
    staff = [nurse(9, span("09:30", "09:40")), nurse(3)]
    assert search(candidate(shared, only), *staff, skip=[2]) == [
        "09:00-09:20, 09:20-09:30 nurse 3, 09:30-09:40 nurse 3"
    ]
    assert search(candidate(shared, only), *staff, skip=[2, 4]) == ["09:00-09:20, 09:20-09:30 nurse 9"]
    assert search(candidate(shared, only), *staff, skip=[3, 4]) == ["09:00-09:20, 09:20-09:30 nurse 9"]


def test_w7_the_doctor_is_no_resource_of_a_step_with_the_doctor() -> None:
    only = schedule(rule("09:00", "09:20"))
    staff = [nurse(9, doctor_id=7), nurse(3, doctor_id=8)]
    assert search(candidate(visit(step(1, 20, DOCTOR, NURSE)), only), *staff) == ["09:00-09:20 nurse 3"]
    assert search(candidate(visit(step(1, 20, NURSE)), only), *staff) == ["09:00-09:20 nurse 9"]
    again = Need("nurse", same_as=1)
    shared = visit(step(1, 10, NURSE), step(2, 20, DOCTOR, again))
    assert search(candidate(shared, only), *staff) == ["08:50-09:00 nurse 3, 09:00-09:20 nurse 3"]
    assert search(candidate(shared, only), staff[0]) == []
    alone = visit(step(1, 10, NURSE), step(2, 20, DOCTOR), step(3, 5, again))
    assert search(candidate(alone, only), *staff) == ["08:50-09:00 nurse 9, 09:00-09:20, 09:20-09:25 nurse 9"]


def test_w3_a_search_skips_steps_and_closes_the_gap() -> None:
    three = visit(step(1, 20, DOCTOR), step(2, 10, NURSE), step(3, 5, DOCTOR))
    only = schedule(rule("09:00", "10:00", slot=60))
    assert search(candidate(three, only)) == []
    assert search(candidate(three, only), skip=[2]) == ["09:00-09:20, 09:20-09:25"]


@pytest.mark.parametrize(("skip", "message"), [([9], "9"), ([1], "1"), ([2, 3], "3")])
def test_w3_a_search_refuses_to_skip_other_steps(skip: list[int], message: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=message):
        list(find_visits([candidate(visit(step(1, 20, DOCTOR), step(2, 10)))], [], THE_DAY, skip=skip))


def test_q1_nothing_to_search_gives_no_visit() -> None:
    assert search([]) == []
    assert search(candidate(plan=schedule())) == []


DAILY = schedule(*(rule("09:00", "09:20", id=day + 1, day_of_week=day) for day in range(7)))
WEEK = 7 * 1440


@pytest.mark.parametrize(
    ("workflow", "first", "last"),
    [
        (CONSULTATION, 3, 28),
        (visit(step(1, 20, DOCTOR), step(2, WEEK)), 3, 21),
        (visit(step(1, WEEK), step(2, 20, DOCTOR)), 3, 21),
        (visit(step(1, 20, DOCTOR), step(2, 20, NURSE, wait=WEEK)), 3, 28),
        (visit(step(1, 20, NURSE, wait=WEEK), step(2, 20, DOCTOR, wait=WEEK)), 3, 28),
        (visit(step(1, 20, DOCTOR), step(2, 20, NURSE, lead=WEEK)), 3, 21),
        (visit(step(1, 20, DOCTOR, lead=WEEK)), None, None),
    ],
)
def test_q1_visits_stay_within_the_calendar(workflow: Workflow, first: int | None, last: int | None) -> None:
    opening = schedule(*(rule("00:00", "00:00", id=day + 1, day_of_week=day) for day in range(7)))
    for staff in (nurse(3), nurse(3, opening=opening), nurse(3, span("09:00", "09:01"))):
        # Each zone has a clock from 0001-01-03 to before 9999-12-29.
        for within, place, expected in (
            (Span(datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 20, tzinfo=UTC)), 0, first),
            (Span(datetime(9999, 12, 8, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)), -1, last),
        ):
            found = list(find_visits([candidate(workflow, DAILY)], [staff], within))
            assert [offer.start_at.day for offer in found[place:][:1]] == ([] if expected is None else [expected])


WRONG: Any = "wrong"
TODAY: Any = at("09:00")


@pytest.mark.parametrize(
    "construct",
    [
        lambda: candidate(buffer_before=minutes(-1)),
        lambda: candidate(buffer_after=WRONG),
        lambda: candidate(buffer_before=minutes(7 * 1440 + 1)),
        lambda: candidate(buffer_after=timedelta.max),
        lambda: candidate(bookable=WRONG),
        lambda: candidate(capped=[TODAY]),
        lambda: candidate(needs_slot=WRONG),
        lambda: candidate(workflow=WRONG),
        lambda: candidate(offering_id=None),
        lambda: Candidate(1, CONSULTATION, WRONG),
        lambda: DoctorCalendar(WRONG),
        lambda: DoctorCalendar(MORNING, [TODAY]),
        lambda: DoctorCalendar(MORNING, full=[TODAY]),
        lambda: nurse(3, kind=" "),
        lambda: nurse(3, opening=WRONG),
        lambda: nurse(3, uses=[Use(span("09:00", "10:00"))]),
        lambda: nurse(1, facility_id=None),
        lambda: nurse(3, doctor_id=2.5),
        lambda: Use(WRONG),
        lambda: Use(span("09:00", "10:00"), WRONG),
        lambda: Resource(TODAY, "nurse", 5),
        lambda: search([WRONG]),
        lambda: search(candidate(needs_slot=False)),
        lambda: search(candidate(), WRONG),
        lambda: search(candidate(), within=WRONG),
        lambda: search(candidate(), patient=[WRONG]),
        lambda: search(candidate(), skip=[WRONG]),
        lambda: search(candidate(), weekdays=[WRONG]),
        lambda: search(candidate(), part_of_day=WRONG),
        lambda: search(candidate(), part_of_day=(time(9), WRONG)),
        lambda: search(candidate(), part_of_day=(time(9),)),
        lambda: search(candidate(), nurse(3), room(3)),
        lambda: search(candidate(), part_of_day=(time(9), time(12, tzinfo=UTC))),
    ],
)
def test_q1_values_of_another_kind_are_refused(construct: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError):
        construct()


def test_q5_a_slot_is_found_from_its_release_on() -> None:
    """Slots without a release, such as those of another rule, are found at any time."""
    morning = rule("09:00", "09:40", release=Release(0, time(8)))
    day = schedule(morning, rule("10:00", "10:20", id=2))
    one = candidate(CONSULTATION, day)
    for released_by, expected in (
        (None, ["09:00", "09:20", "10:00"]),
        (at("07:59"), ["10:00"]),
        (at("08:00"), ["09:00", "09:20", "10:00"]),
    ):
        found = list(find_visits([replace(one, released_by=released_by)], [], THE_DAY))
        assert [f"{offer.start_at:%H:%M}" for offer in found] == expected
    first = next(find_visits([one], [], THE_DAY))
    assert first.slot.released_at == at("08:00")
    assert visit_at(replace(one, released_by=at("07:59")), [], first.wanted) is None
    assert visit_at(replace(one, released_by=at("08:00")), [], first.wanted) == first


def test_b2_an_offer_of_another_doctor_or_place_is_none_of_the_candidate() -> None:
    one = candidate()
    offer = next(find_visits([one], [], THE_DAY))
    assert visit_at(one, [], offer.wanted) == offer
    there = offer.wanted.slot
    for forged in (there._replace(doctor_id=99), there._replace(facility_id=99)):
        assert visit_at(one, [], offer.wanted._replace(slot=forged)) is None


def without_hours(workflow: Workflow, plan: Schedule, *uses: Span, **fields: Any) -> Candidate:
    return candidate(workflow, beyond_hours(plan), *uses, needs_slot=False, **fields)


def test_b8_a_visit_without_a_slot_is_outside_hours_and_no_emergency() -> None:
    emergency = block("15:00", "16:00", ExceptionType.EMERGENCY)
    of_rule = block("17:00", "18:00", ExceptionType.EMERGENCY, id=2, rule_id=1)
    plan = schedule(rule("09:00", "10:00"), exceptions=[emergency, of_rule, block("09:00", "12:00", id=3)])
    one = without_hours(CONSULTATION, plan, span("13:00", "13:20"), capped=(span("20:00", "21:00"),))
    for start in ("03:00", "09:10", "12:40", "14:40", "16:00", "17:10", "23:50"):
        offer = visit_without_slot(one, [], at(start))
        assert offer is not None
        assert (shown(offer)[:5], offer.slot.rule_id, offer.slot.service_offering_id) == (start, None, 1)
        assert (offer.slot.start_at, offer.slot.end_at) == (offer.start_at, offer.end_at)
        assert visit_at(one, [], offer.wanted) == offer
        assert visit_at(one, [], offer.wanted._replace(slot=slot(start, "23:59"))) == offer
        taken = without_hours(CONSULTATION, plan, Span(offer.start_at, offer.end_at))
        assert visit_at(taken, [], offer.wanted) is None
    for start in ("12:50", "13:10", "14:50", "15:30", "20:00"):
        assert visit_without_slot(one, [], at(start)) is None


def test_b8_the_steps_of_a_visit_without_a_slot_have_their_resources() -> None:
    workflow = visit(step(1, 10, NURSE), step(2, 20, DOCTOR), step(3, 10, NURSE, wait=30))
    one = without_hours(workflow, MORNING)
    closed = schedule(doctor=3)
    offer = visit_without_slot(one, [nurse(3, span("14:30", "14:40"), opening=beyond_hours(closed))], at("14:00"))
    assert offer is not None
    assert shown(offer) == "14:00-14:10 nurse 3, 14:10-14:30, 14:40-14:50 nurse 3"
    assert (offer.slot.start_at, offer.slot.end_at) == (at("14:10"), at("14:30"))
    assert visit_without_slot(one, [nurse(3, opening=closed)], at("14:00")) is None
    skipped = visit_without_slot(one, [nurse(3)], at("14:00"), skip=[3])
    assert skipped is not None
    assert shown(skipped) == "14:00-14:10 nurse 3, 14:10-14:30"


def test_b8_hours_do_not_exceed_the_places_of_a_slot() -> None:
    """A visit without the doctor takes a place of the slot that starts with it; other slots are no matter."""
    one = without_hours(visit(step(1, 20, NURSE)), MORNING)
    assert visit_without_slot(one, [nurse(3)], at("09:00")) is not None
    for offering, start, expected in (
        (None, "09:00", False),
        (1, "09:00", False),
        (2, "09:00", True),
        (1, "09:20", True),
    ):
        full = (micros(at("09:00")), micros(at("09:20")), offering)
        beside = replace(one, calendar=calendar_with(one.calendar, (), (), [full]))
        assert (visit_without_slot(beside, [nurse(3)], at(start)) is not None) is expected
    waiting = candidate(
        visit(step(1, 20, NURSE)), beyond_hours(MORNING), full=[slot("09:00", "09:20")], needs_slot=False
    )
    assert visit_without_slot(waiting, [nurse(3)], at("09:00")) is None


def test_b8_a_full_slot_takes_one_visit_more_than_its_places() -> None:
    uses = [Use(span("09:00", "09:20"), slot("09:00", "09:20")), Use(span("09:20", "09:40"), slot("09:20", "09:40"))]
    full = [(micros(at(start)), micros(at(end)), None) for start, end in (("09:00", "09:20"), ("09:20", "09:40"))]
    one = candidate()
    for exceeded, expected in (([], ["09:40"]), (full[:1], ["09:00", "09:40"]), (full, ["09:00", "09:20", "09:40"])):
        beside = replace(one, calendar=calendar_with(one.calendar, (), uses, full, exceeded))
        found = list(find_visits([beside], [], THE_DAY))
        assert [f"{offer.start_at:%H:%M}" for offer in found] == expected
        assert [offer.slot.capacity for offer in found] == [1] * len(expected)
    other_use = [*uses, Use(span("09:10", "09:15"))]
    beside = replace(one, calendar=calendar_with(one.calendar, (), other_use, full, full))
    assert [f"{offer.start_at:%H:%M}" for offer in find_visits([beside], [], THE_DAY)] == ["09:20", "09:40"]
