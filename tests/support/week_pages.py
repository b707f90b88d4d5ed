"""Pages of weeks for tests: values with hostile names, and a week in which the clock changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.cli.week_page import Entry, Kind, Lane, WeekPage

LONDON = ZoneInfo("Europe/London")
SPRING, AUTUMN = date(2027, 3, 22), date(2027, 10, 25)  # the clock changes on the Sunday
ATTACK = "<script>alert('\"&')</script>"


def entry(kind: Kind, day: date, first: float, last: float, text: str = "", patient: str = "") -> Entry:
    """Return an entry from one hour of the wall clock to another."""
    begin, end = (
        datetime(day.year, day.month, day.day, tzinfo=LONDON) + timedelta(hours=hour) for hour in (first, last)
    )
    return Entry(kind, begin.astimezone(UTC), end.astimezone(UTC), text, patient)


def sample(first_day: date = SPRING, *, name: str = "Larkspur", patient: str = "") -> WeekPage:
    """Return a week with two doctors and a room; the facility, one doctor and the room have the name."""
    days = [first_day + timedelta(days=number) for number in range(7)]
    own = [
        (
            entry(Kind.OUTSIDE, day, 0, 9),
            entry(Kind.OPEN, day, 9, 9.5),
            entry(Kind.OPEN, day, 9.5, 10),
            entry(Kind.HELD, day, 10, 10.5, "check-up, until Mon 09:10"),
            entry(Kind.BOOKED, day, 10.5, 12, f"check-up {name}", patient=patient),
            entry(Kind.BLOCKED, day, 12, 13, f"closure: {name}"),
            entry(Kind.OUTSIDE, day, 13, 24),
        )
        for day in days[:6]
    ]
    night = (entry(Kind.OPEN, days[6], 0, 4),)
    away = tuple((entry(Kind.OUTSIDE, day, 0, 24),) for day in days)
    return WeekPage(
        slug="larkspur",
        name=name,
        zone=LONDON,
        first_day=first_day,
        made_at=datetime(2027, 1, 1, 12, tzinfo=UTC),
        doctors=(Lane(name, (*own, night)), Lane("Dr Away", away)),
        resources=(Lane(name, (*own, night), "room"),),
        has_names=bool(patient),
    )
