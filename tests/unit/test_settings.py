"""Days, words and zones as people give them on the command line."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.cli import main, settings
from scheduler.cli.explain import read_time
from scheduler.core.errors import InvalidInputError

TODAY = date(2027, 3, 27)


@pytest.fixture(autouse=True, scope="module")
def clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(settings, "now", lambda: datetime(2027, 3, 27, 23, 30, tzinfo=UTC))
        yield


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2027-03-28", date(2027, 3, 28)),
        ("0001-01-01", date.min),
        ("9999-12-31", date.max),
        ("today", TODAY),
        ("tomorrow", date(2027, 3, 28)),
        ("yesterday", date(2027, 3, 26)),
        ("+0", TODAY),
        ("+7", date(2027, 4, 3)),
        ("-7", date(2027, 3, 20)),
    ],
)
def test_a_day_is_read(text: str, day: date) -> None:
    assert settings.read_day(text, default=date(2000, 1, 1)) == day


def test_missing_day_is_the_default() -> None:
    assert settings.read_day(None, default=date(2000, 1, 1)) == date(2000, 1, 1)


@given(st.text(max_size=20) | st.text("0123456789-+TWZ:/. ", max_size=25))
@example("")
@example("now")
@example("2027")  # an unfinished day is not the first of its year
@example("2027-03")
@example("2027-W13")
@example("2027-3-8")
@example("27-03-28")
@example("28.03.2027")
@example("03/28/2027")
@example("2027-02-30")
@example("2027-03-28T10:00")  # naive, and not a day
@example("2027-03-28T10:00Z")
@example("2027-01-01/2027-02-01")
@example("P1D")
@example("10:20")
@example("+")
@example("+x")
@example("+1.5")
@example("+99999999999999")
@example("-1")
@example("\uff12\uff10\uff12\uff17-03-28")
@example("\udcff")
@example("2027-03-28\0")
@example("TODAY")
@example("8:")  # pendulum raised a TypeError
@example("0:.0")
def test_text_that_is_no_day_is_refused_with_the_text(text: str) -> None:
    try:
        day = settings.read_day(text, default=TODAY)
    except InvalidInputError as error:
        assert repr(text) in str(error)  # noqa: PT017  # either is right: a day, or this error
    else:
        words = {"today": 0, "tomorrow": 1, "yesterday": -1}
        days = words[text] if text in words else int(text) if text.startswith(("+", "-")) else (day - TODAY).days
        assert day == TODAY + timedelta(days)
        assert text.startswith(("+", "-")) or text in {day.isoformat(), *words}


@given(st.text(max_size=20) | st.text("0123456789-+TWZ:/. ", max_size=25))
@example("8:")
@example("0:.0")
def test_text_that_is_neither_a_day_nor_a_time_is_refused(text: str) -> None:
    try:
        when = read_time(text, ZoneInfo("Europe/London"))
    except InvalidInputError:
        return
    assert isinstance(when, datetime) or when.isoformat() == text or text.startswith(("+", "-"))


@pytest.mark.parametrize("text", ["", "now", "2027", "2027-W13", "2027-02-30", "2027-03-28T10:00", "\udcff"])
def test_partial_and_relative_days_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a day"):
        settings.read_day(text, default=TODAY)


def days(first: str | None = None, count: int | None = None, until: str | None = None) -> tuple[date, date]:
    return settings.read_days(first, count, until, default_days=90)


def test_default_days_are_ninety_from_today() -> None:
    assert days() == (TODAY, TODAY + timedelta(days=90))


def test_a_last_day_belongs_to_the_days() -> None:
    assert days("2027-03-01", until="2027-03-01") == (date(2027, 3, 1), date(2027, 3, 2))


def test_a_number_of_days() -> None:
    assert days("2027-03-01", 2) == (date(2027, 3, 1), date(2027, 3, 3))


@pytest.mark.parametrize(
    ("first", "count", "until", "why"),
    [
        (None, 3, "today", "give one of them"),
        ("2027-03-02", None, "2027-03-01", "no day"),
        ("2027-03-02", 0, None, "no day"),
        ("2027-03-02", -5, None, "no day"),
        ("9999-12-31", None, None, "from 9999-12-31 on leave the calendar"),
        ("2027-03-02", None, "9999-12-31", "from 2027-03-02 on leave the calendar"),
        ("2027-03-02", 10**9, None, "leave the calendar"),
        ("2027-03-02", 10**30, None, "leave the calendar"),
        (None, None, "0001-01-01", "no day"),
    ],
)
def test_impossible_ranges_of_days_are_refused(
    first: str | None, count: int | None, until: str | None, why: str
) -> None:
    with pytest.raises(InvalidInputError, match=why):
        days(first, count, until)


@pytest.mark.parametrize("text", ["default", "Praxis Müller", "診療所", "", None])
def test_text_is_readable(text: str | None) -> None:
    assert settings.readable(text) == text


@pytest.mark.parametrize("text", ["\udcff", "a\0b", "a\nb", "\x1b[31m", "\u202e"])
def test_control_characters_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="not a line of text"):
        settings.readable(text)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n"])
def test_the_line_break_of_a_file_of_secrets_is_no_part_of_the_url(end: str) -> None:
    assert settings.secret_address(f"postgresql://u:hidden@host/db{end}") == "postgresql://u:hidden@host/db"


@pytest.mark.parametrize("text", ["\udcff", "a\0b", "a\nb", "\x1b[31m", "\u202e"])
@pytest.mark.parametrize("command", ["status", "migrate", "demo"])
def test_no_message_repeats_the_database_url(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, text: str
) -> None:
    monkeypatch.setattr("sys.argv", ["scheduler", command, "--database-url", f"postgresql://u:hidden{text}@host/db"])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code, capsys.readouterr()) == (2, ("", "error: the database URL is not a line of text\n"))
