"""Booking policies (Q2): which row decides, and which starts notice and horizon allow."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.core.errors import InvalidInputError
from scheduler.core.policies import DaysBefore, Lead, Policy, last_instant
from scheduler.core.policy_rows import Place, PolicyRow, effective, refuse_contradictions
from scheduler.core.reasons import ReasonCode
from scheduler.core.slots import Id
from scheduler.core.spans import Span
from scheduler.core.zones import EARLIEST, LATEST, instant_at

LONDON, ST_JOHNS, APIA = ZoneInfo("Europe/London"), ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia")
NUUK = ZoneInfo("America/Nuuk")  # from 23:00 on to 00:00 of the next day
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OURS = Place("web", 1, 1, 1)
ONE_OR_ANY = (1, 2, None)
PLACES = [
    Place(channel, *ids) for channel in ("web", "app", None) for ids in product(ONE_OR_ANY, ONE_OR_ANY, ONE_OR_ANY)
]

leads = st.one_of(
    st.integers(0, 5000).map(lambda minutes: timedelta(minutes=minutes)),
    st.builds(DaysBefore, st.integers(0, 4), st.times()),
)
changes_of_clocks = st.sampled_from(
    [
        (LONDON, datetime(2027, 3, 28, 1, tzinfo=UTC)),
        (LONDON, datetime(2027, 10, 31, 1, tzinfo=UTC)),
        (ST_JOHNS, datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),  # from 00:01 back to 23:01 of the day before
        (APIA, datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a day is missing
    ]
)
minutes_around = st.integers(-4 * 1440, 4 * 1440).map(lambda minutes: timedelta(minutes=minutes))


def day_of(zone: ZoneInfo, at: datetime) -> date:
    """Return the last day that has begun, by trial of the days around."""
    days = [at.date() + number * DAY for number in range(-3, 4)]
    return max(day for day in days if instant_at(zone, day) <= at)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@given(st.lists(st.builds(PolicyRow, st.sampled_from(PLACES), horizon=st.none() | st.integers(9, 99)), max_size=9))
def test_q2_the_most_specific_row_that_says_a_field_decides_it(rows: list[PolicyRow]) -> None:
    rows = [*{row.place: row for row in rows}.values()]
    by_place = {row.place: row.horizon for row in rows}
    in_order = (
        Place(channel, facility, doctor, offering)
        for offering in (1, None)
        for doctor in (1, None)
        for facility in (1, None)
        for channel in ("web", None)
    )
    said = [by_place[place] for place in in_order if by_place.get(place) is not None]
    assert effective(rows, OURS).horizon == (said[0] if said else None)


def test_q2_each_field_is_decided_by_itself() -> None:
    rows = [
        PolicyRow(horizon=90, notice=HOUR, hold_lasts=HOUR),
        PolicyRow(Place("web", 1), notice=2 * HOUR, offer_lasts=HOUR),
        PolicyRow(Place(doctor_id=1), notice=DaysBefore(1, time(16))),
        PolicyRow(Place(offering_id=2), horizon=3),
        PolicyRow(Place(offering_id=1), cancel_until=HOUR),
    ]
    assert effective(rows, OURS) == Policy(DaysBefore(1, time(16)), 90, HOUR, HOUR, HOUR)
    assert effective([], OURS) == Policy(hold_lasts=timedelta(minutes=10))


@given(leads, st.none() | st.integers(0, 5), changes_of_clocks, minutes_around, minutes_around)
@example(DaysBefore(1, time(23, 30)), 2, (NUUK, at("2024-03-31T01:00+00:00")), timedelta(0), 5 * HOUR)
@example(DaysBefore(1, time(23, 30)), 2, (ST_JOHNS, at("2010-11-07T02:40+00:00")), timedelta(0), DAY)
def test_q2_a_start_is_allowed_from_notice_to_horizon(
    notice: Lead, horizon: int | None, change: tuple[ZoneInfo, datetime], ago: timedelta, ahead: timedelta
) -> None:
    """A start is allowed until the last instant to book it, and on the days of the horizon."""
    zone, changed = change
    now, start_at = changed + ago, changed + ago + abs(ahead)
    starts = Policy(notice, horizon).starts(now, zone)
    is_in_time = now <= last_instant(notice, start_at, zone)
    is_within = horizon is None or day_of(zone, start_at) <= day_of(zone, now) + horizon * DAY
    assert (starts.begin <= start_at, start_at < starts.end) == (is_in_time, is_within)
    against = [(ReasonCode.HORIZON, is_within), (ReasonCode.NOTICE, is_in_time)]
    assert [reason.code for reason in starts.reasons(start_at)] == [
        code for code, is_allowed in against if not is_allowed
    ]


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2027-03-26T16:00+00:00", "2027-03-27T00:00+00:00"),
        ("2027-03-26T16:00:01+00:00", "2027-03-28T00:00+00:00"),
        ("2027-03-27T16:00:01+00:00", "2027-03-28T23:00+00:00"),
        ("2027-03-28T15:30+00:00", "2027-03-29T23:00+00:00"),  # 16:30 in summer time
    ],
)
def test_q2_tomorrow_is_booked_until_a_time_of_today(now: str, first: str) -> None:
    assert Policy(DaysBefore(1, time(16))).starts(at(now), LONDON).begin == at(first)


def test_q2_the_last_day_of_the_horizon_is_included() -> None:
    now = at("2027-03-27T09:00+00:00")
    assert Policy(horizon=0).starts(now, LONDON).end == at("2027-03-28T00:00+00:00")
    assert Policy(horizon=1).starts(now, LONDON).end == at("2027-03-28T23:00+00:00")  # a day of 23 hours


def test_q2_a_start_outside_the_policy_has_its_reason() -> None:
    starts = Policy(notice=DAY, horizon=1).starts(datetime(2027, 1, 4, 8, tzinfo=UTC), LONDON)
    told = [
        [(reason.code, reason.text) for reason in starts.reasons(datetime(2027, 1, day, 8, tzinfo=UTC))]
        for day in (4, 5, 6)
    ]
    assert told == [
        [(ReasonCode.NOTICE, "it starts within the minimum notice (1 day, 0:00:00)")],
        [],
        [(ReasonCode.HORIZON, "it starts after the booking horizon of 1 local day")],
    ]


def test_q2_a_visit_is_cancelled_until_its_start_at_the_latest() -> None:
    start_at = at("2027-03-29T09:00+01:00")
    assert Policy().last_cancellation(start_at, LONDON) == start_at
    assert Policy(cancel_until=DAY).last_cancellation(start_at, LONDON) == start_at - DAY
    assert Policy(cancel_until=DaysBefore(0, time(18))).last_cancellation(start_at, LONDON) == start_at
    evening = DaysBefore(1, time(18))
    assert Policy(cancel_until=evening).last_cancellation(start_at, LONDON) == at("2027-03-28T18:00+01:00")


@pytest.mark.parametrize("lead", [366 * DAY, DaysBefore(366, time(12))], ids=str)
@pytest.mark.parametrize("edge", [EARLIEST, LATEST], ids=str)
def test_q2_a_policy_stays_within_the_calendar(lead: Lead, edge: datetime) -> None:
    starts = Policy(lead, 3660, cancel_until=lead).starts(edge, LONDON)
    assert EARLIEST <= starts.begin <= starts.end <= LATEST
    assert EARLIEST <= last_instant(lead, edge, LONDON) <= LATEST


def test_q2_a_span_is_narrowed_to_what_is_allowed() -> None:
    now = at("2027-03-01T09:00+00:00")
    starts = Policy(HOUR, 0).starts(now, LONDON)
    assert starts.within(None) == Span(now + HOUR, now + 15 * HOUR)
    assert starts.within(Span(now, now + 2 * HOUR)) == Span(now + HOUR, now + 2 * HOUR)
    assert starts.within(Span(now, now + HOUR)) is None
    assert not starts.are_all
    assert Policy().starts(now, LONDON).are_all


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"notice": 5}, "policy: notice must be a timedelta of whole minutes"),
        ({"notice": -HOUR}, "policy: notice must be"),
        ({"notice": timedelta(seconds=90)}, "whole minutes"),
        ({"cancel_until": 367 * DAY}, "cancel_until must be a timedelta of whole minutes, at most 366 days"),
        ({"horizon": -1}, "policy: horizon must be a whole number from 0"),
        ({"horizon": timedelta(days=3)}, "policy: horizon must be a whole number from 0"),
        ({"horizon": 3661}, "policy: horizon must be at most 3660 days"),
        ({"hold_lasts": 25 * HOUR}, "hold_lasts must be a timedelta of whole minutes longer than zero, at most one"),
        ({"offer_lasts": timedelta(0)}, "offer_lasts must be"),
        ({"place": Place("Web")}, "channel must be a word of small letters, digits and _ with at most 50"),
        ({"place": Place("w" * 51)}, "channel must be a word"),
        ({"place": Place(7)}, "such as web, not int"),  # type: ignore[arg-type]  # as callers do
        ({"notice": DAY, "horizon": 0}, "the notice .* is longer than the horizon .0 local days.: nothing could ever"),
        ({"notice": DaysBefore(3, time(12)), "horizon": 2}, "3 local days before, until 12:00.* is longer"),
    ],
    ids=str,
)
def test_q2_an_invalid_policy_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        PolicyRow(**fields)  # type: ignore[arg-type]  # as callers do


@pytest.mark.parametrize(("days", "until"), [(-1, time(9)), (367, time(9)), (True, time(9)), (1, time(9, tzinfo=UTC))])
def test_q2_invalid_days_before_are_refused(days: int, until: time) -> None:
    with pytest.raises(InvalidInputError, match=r"days before: (days|until) must be"):
        DaysBefore(days, until)


OFFERINGS: dict[Id, Place] = {1: Place(None, 1, 1, 1), 2: Place(None, 2, 2, 2)}


@pytest.mark.parametrize(
    ("early", "late"),
    [
        (Place("web"), Place(facility_id=1)),
        (Place(offering_id=1), Place(doctor_id=1)),
        (Place(doctor_id=1), Place("web", offering_id=1)),
        (Place(), Place()),
    ],
    ids=str,
)
def test_q2_a_notice_longer_than_another_rows_horizon_is_refused(early: Place, late: Place) -> None:
    rows = [PolicyRow(early, notice=3 * DAY), PolicyRow(late, horizon=2)]
    with pytest.raises(InvalidInputError, match="is longer than the horizon"):
        refuse_contradictions(rows, OFFERINGS)


def test_q2_a_row_without_any_field_says_nothing() -> None:
    assert PolicyRow(OURS).says_nothing
    assert not PolicyRow(OURS, horizon=0).says_nothing


def test_q2_rows_that_never_meet_do_not_contradict_each_other() -> None:
    rows = [
        PolicyRow(Place("web"), notice=3 * DAY),
        PolicyRow(Place("app"), horizon=2),
        PolicyRow(Place(offering_id=1), notice=3 * DAY),
        PolicyRow(Place(doctor_id=2), horizon=2, notice=HOUR),
        PolicyRow(horizon=1),
        PolicyRow(Place("web", facility_id=None), horizon=9),
        PolicyRow(Place(offering_id=1), horizon=9),
    ]
    refuse_contradictions(rows, OFFERINGS)
