"""Peers of `expand`: other ways to turn opening times into slots. All return the same `Slot` values.

The calendar is Monday to Friday, 09:00-17:00 on the clock of one zone, in slots of 20 minutes.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from dateutil.rrule import FR, MO, TH, TU, WE, WEEKLY, rrule

from scheduler import Slot

OPENS, CLOSES, LENGTH = time(9), time(17), timedelta(minutes=20)


def loop(
    zone: ZoneInfo, first: date, days: int, doctor_id: int, opens: time = OPENS, closes: time = CLOSES
) -> list[Slot]:
    """(a) Loop over the wall clock, and turn each time into an instant: the obvious way."""
    slots = []
    for number in range(days):
        day = first + timedelta(days=number)
        if day.weekday() < 5:
            at = datetime.combine(day, opens, tzinfo=zone)
            end = datetime.combine(day, closes, tzinfo=zone)
            while at + LENGTH <= end:
                slots.append(
                    Slot(
                        start_at=at.astimezone(UTC),
                        end_at=(at + LENGTH).astimezone(UTC),
                        doctor_id=doctor_id,
                        facility_id=1,
                        rule_id=day.isoweekday(),
                    )
                )
                at += LENGTH
    return slots


def careful_loop(zone: ZoneInfo, first: date, days: int, doctor_id: int) -> list[Slot]:
    """(a') Turn only the window into instants, then count in UTC: the careful loop."""
    slots = []
    for number in range(days):
        day = first + timedelta(days=number)
        if day.weekday() < 5:
            rule_id = day.isoweekday()
            at = datetime.combine(day, OPENS, tzinfo=zone).astimezone(UTC)
            closes = datetime.combine(day, CLOSES, tzinfo=zone).astimezone(UTC)
            end = at + LENGTH
            while end <= closes:
                slots.append(Slot(at, end, doctor_id, 1, None, 1, rule_id))
                at, end = end, end + LENGTH
    return slots


def with_rrule(zone: ZoneInfo, first: date, days: int, doctor_id: int) -> list[Slot]:
    """(b) Expand wall-clock starts with dateutil's rrule, and turn them into instants with zoneinfo."""
    starts = rrule(
        WEEKLY,
        dtstart=datetime.combine(first, OPENS),
        until=datetime.combine(first + timedelta(days=days - 1), CLOSES) - LENGTH,
        byweekday=(MO, TU, WE, TH, FR),
        byhour=range(OPENS.hour, CLOSES.hour),
        byminute=(0, 20, 40),
        bysecond=0,
    )
    slots = []
    for wall in starts:
        at = wall.replace(tzinfo=zone).astimezone(UTC)
        slots.append(Slot(at, at + LENGTH, doctor_id, 1, None, 1, wall.isoweekday()))
    return slots


def with_calendar(zone: ZoneInfo, first: date, days: int, doctor_id: int) -> list[Slot]:
    """(c) Expand a calendar with one recurring event with recurring-ical-events."""
    event = icalendar.Event()
    event.add("uid", "slots")
    event.add("dtstart", datetime.combine(first, OPENS, tzinfo=zone))
    event.add("dtend", datetime.combine(first, OPENS, tzinfo=zone) + LENGTH)
    hours = list(range(OPENS.hour, CLOSES.hour))
    days_of_week = ["MO", "TU", "WE", "TH", "FR"]
    event.add("rrule", {"freq": "weekly", "byday": days_of_week, "byhour": hours, "byminute": [0, 20, 40]})
    calendar = icalendar.Calendar()
    calendar.add_component(event)
    begin = datetime.combine(first, time(), tzinfo=zone)
    end = datetime.combine(first + timedelta(days=days), time(), tzinfo=zone)
    slots = []
    for occurrence in recurring_ical_events.of(calendar).between(begin, end):
        at, until = occurrence["DTSTART"].dt, occurrence["DTEND"].dt
        slots.append(Slot(at.astimezone(UTC), until.astimezone(UTC), doctor_id, 1, None, 1, at.isoweekday()))
    return sorted(slots)
