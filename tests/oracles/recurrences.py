"""Oracle for recurrences: the days of an RFC 5545 rule, found by asking every single day.

Owns: A2 a second time, from the text of RFC 5545 3.3.10. A day belongs to a period (its day, week, month or year) and
satisfies each BYxxx part by itself or not; BYSETPOS then chooses from the days of one period, and COUNT counts.
Where BYWEEKNO numbers weeks, the periods are years of whole weeks. Must not know: any part of the library under test.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")  # by `date.weekday`
ONE_DAY = timedelta(days=1)
MORE_THAN_A_YEAR = timedelta(days=380)


@lru_cache(maxsize=4096)
def parts_of(text: str) -> dict[str, list[str]]:
    """Return the values of each part of a recurrence."""
    named = (part.partition("=") for part in text.upper().removeprefix("RRULE:").rstrip(";").split(";"))
    return {name: values.split(",") for name, _, values in named}


@lru_cache(maxsize=4096)
def first_week(year: int, week_start: int) -> date:
    """Return the first day of the first week that has at least four days in the year."""
    first = date(year, 1, 1)
    while first.weekday() != week_start:
        first += ONE_DAY
    return first - timedelta(days=7) if first >= date(year, 1, 5) else first


def week_year(day: date, week_start: int) -> int:
    """Return the year whose weeks have the day."""
    return next(year for year in (day.year + 1, day.year, day.year - 1) if first_week(year, week_start) <= day)


@lru_cache(maxsize=4096)
def days_of_month(year: int, month: int) -> list[date]:
    """Return the days of a month in order."""
    days = [date(year, month, 1) + number * ONE_DAY for number in range(31)]
    return [day for day in days if day.month == month]


@lru_cache(maxsize=4096)
def days_of_year(year: int) -> list[date]:
    """Return the days of a year in order."""
    return [day for month in range(1, 13) for day in days_of_month(year, month)]


def named_by(numbers: list[str], place: int, of: int) -> bool:
    """Tell whether a list names the first, second, ... or last of some things; negative numbers count from the end."""
    return any(int(number) in {place, place - of - 1} for number in numbers)


class Question:
    """A recurrence of a rule, with each part that RFC 5545 takes from DTSTART filled in (`weekday`: 0 = Sunday)."""

    def __init__(self, text: str, *, anchor: date, weekday: int | None) -> None:
        self.parts = dict(parts_of(text))
        self.frequency = self.parts["FREQ"][0]
        self.week_start = CODES.index(self.parts.get("WKST", ["MO"])[0])
        self.anchor = anchor
        own_weekday = anchor.weekday() if weekday is None else (weekday - 1) % 7
        if self.frequency == "DAILY" or self.parts.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY"}:
            return
        if self.frequency == "WEEKLY" or "BYWEEKNO" in self.parts:
            self.parts["BYDAY"] = [CODES[own_weekday]]
        else:
            self.parts["BYMONTHDAY"] = [str(anchor.day)]
            if self.frequency == "YEARLY":
                self.parts.setdefault("BYMONTH", [str(anchor.month)])

    def period(self, day: date) -> int:
        """Return the number of the day's period; the next period has the next number."""
        match self.frequency:
            case "DAILY":
                return day.toordinal()
            case "WEEKLY":
                while day.weekday() != self.week_start:
                    day -= ONE_DAY
                return (day - date(1899, 12, 25) - timedelta(days=self.week_start)).days // 7  # a Monday
            case "MONTHLY":
                return day.year * 12 + day.month
            case _:
                return week_year(day, self.week_start) if "BYWEEKNO" in self.parts else day.year

    def satisfied(self, day: date) -> bool:
        """Tell whether the day satisfies every BYxxx part but BYSETPOS."""
        return all(self.satisfies(name, values, day) for name, values in self.parts.items())

    def satisfies(self, name: str, values: list[str], day: date) -> bool:
        """Tell whether the day satisfies one part."""
        month, year = days_of_month(day.year, day.month), days_of_year(day.year)
        match name:
            case "BYMONTH":
                return str(day.month) in [value.lstrip("0") for value in values]
            case "BYMONTHDAY":
                return named_by(values, day.day, len(month))
            case "BYYEARDAY":
                return named_by(values, year.index(day) + 1, len(year))
            case "BYWEEKNO":
                number = week_year(day, self.week_start)
                begin, end = first_week(number, self.week_start), first_week(number + 1, self.week_start)
                return named_by(values, (day - begin).days // 7 + 1, (end - begin).days // 7)
            case "BYDAY":
                mine = [value[:-2] for value in values if value.endswith(CODES[day.weekday()])]
                if "" in mine or not mine:
                    return "" in mine
                scope = year if self.frequency == "YEARLY" and "BYMONTH" not in self.parts else month
                same = [other for other in scope if other.weekday() == day.weekday()]
                return named_by(mine, same.index(day) + 1, len(same))
            case _:
                return True

    def sets(self, first: date, last: date) -> Iterator[list[date]]:
        """Yield the days of each period; the first and the last period may be incomplete."""
        interval = int(self.parts.get("INTERVAL", ["1"])[0])
        begin = self.period(self.anchor)
        every = (date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1))
        for period, members in groupby(every, self.period):
            if period >= begin and (period - begin) % interval == 0:
                days = [day for day in members if self.satisfied(day)]
                chosen = self.parts.get("BYSETPOS")
                if chosen:
                    days = [day for place, day in enumerate(days, 1) if named_by(chosen, place, len(days))]
                yield days


@lru_cache(maxsize=4096)
def recurring_days(text: str, anchor: date | None, weekday: int | None, first: date, last: date) -> tuple[date, ...]:
    """Return the days of a recurrence from `first` to `last` in order, without regard to UNTIL.

    Without an anchor nothing counts, and the recurrence may begin at any time before.
    """
    counted = "COUNT" in parts_of(text)
    origin = first - MORE_THAN_A_YEAR if anchor is None else anchor
    question = Question(text, anchor=origin, weekday=weekday)
    begin = (origin if counted else max(origin, first)) - MORE_THAN_A_YEAR
    days = [day for days in question.sets(begin, last + MORE_THAN_A_YEAR) for day in days if day >= origin]
    if counted:
        days = days[: int(parts_of(text)["COUNT"][0])]
    return tuple(day for day in days if first <= day <= last)


def started_in_time(text: str, start: datetime, zone: ZoneInfo) -> bool:
    """Tell whether UNTIL admits a window whose start is this time on the zone's wall clock."""
    until = parts_of(text).get("UNTIL", ["99991231"])[0]
    day = date(int(until[:4]), int(until[4:6]), int(until[6:8]))
    if "T" not in until:
        return start.date() <= day
    end = datetime.combine(day, time(int(until[9:11]), int(until[11:13]), min(int(until[13:15]), 59)))
    if not until.endswith("Z"):
        return start <= end
    at = start.replace(tzinfo=zone).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) != start:  # skipped: go back to the jump, a minute at a time
        while (at - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None) >= start:
            at -= timedelta(minutes=1)
    return at <= end.replace(tzinfo=UTC)
