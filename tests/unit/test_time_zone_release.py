"""Release of the time zone data in use: stated where zoneinfo reads them, else a digest of transitions (R3)."""

import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from scheduler.generation.time_zone_release import time_zone_release
from support.zones import made

Directory = Callable[..., Path]
LONDON, PARIS = "Europe/London", "Europe/Paris"
PACKAGED = (files("tzdata") / "zoneinfo" / "tzdata.zi").read_text().split("\n", 1)[0].removeprefix("# version ")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    """Yield a function that writes a directory of zones; zoneinfo reads the directories in order of their creation."""
    before = zoneinfo.TZPATH
    directories: list[str] = []

    def written(*keys: str, data: str | None = None, **stated: str) -> Path:
        root = tmp_path / str(len(directories))
        for key in keys:
            write_zone(root, key, data or key)
        for name, content in stated.items():
            (root / {"zi": "tzdata.zi", "version": "+VERSION"}[name]).write_text(content)
        directories.append(str(root))
        zoneinfo.reset_tzpath(to=directories)
        return root

    yield written
    zoneinfo.reset_tzpath(to=before)


def write_zone(root: Path, key: str, data: str) -> None:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(files("tzdata").joinpath("zoneinfo", data).read_bytes())


def loaded(key: str = LONDON) -> ZoneInfo:
    return ZoneInfo.no_cache(key)


@pytest.mark.parametrize(
    ("stated", "release"),
    [
        ({"zi": "# version 2031c\n# redo posix_only\n"}, "2031c"),
        ({"version": "2031c\n"}, "2031c"),
        ({"version": "2031c"}, "2031c"),
        ({"zi": "# version 2031c-12-gabcdef0-dirty\n"}, "2031c-12-gabcdef0-dirty"),
        ({"zi": "# version 2031c\n", "version": "2030a\n"}, "2031c"),
        ({"zi": "# version unknown\n", "version": "2031c\n"}, "2031c"),
        ({"zi": "", "version": "2031c\n"}, "2031c"),
        ({"zi": "\0" * 500 + "\n", "version": "2031c\n"}, "2031c"),
    ],
)
def test_r3_a_release_is_read_where_the_zone_is(directory: Directory, stated: dict[str, str], release: str) -> None:
    directory(LONDON, **stated)
    assert time_zone_release(loaded()) == release


def test_r3_the_first_directory_with_the_zone_states_its_release(directory: Directory) -> None:
    directory(PARIS, zi="# version 2031a\n")
    directory(LONDON, PARIS, zi="# version 2032b\n")
    assert (time_zone_release(loaded(PARIS)), time_zone_release(loaded())) == ("2031a", "2032b")


def test_r3_a_zone_in_no_directory_has_the_release_of_the_package(directory: Directory) -> None:
    directory(PARIS, zi="# version 2031a\n")
    assert time_zone_release(loaded()) == PACKAGED
    assert PACKAGED.startswith("20")


@pytest.mark.parametrize("stated", [{}, {"zi": "# version unknown\n"}, {"version": "\n"}, {"version": "9" * 99 + "\n"}])
def test_r3_without_a_stated_release_the_transitions_count(directory: Directory, stated: dict[str, str]) -> None:
    directory(LONDON, PARIS, **stated)
    directory("Europe/Guernsey", data=LONDON)
    london, paris, guernsey = (time_zone_release(loaded(key)) for key in (LONDON, PARIS, "Europe/Guernsey"))
    assert london == guernsey != paris
    assert london.startswith("transitions-")


def test_r3_a_zone_loaded_before_an_update_keeps_its_release(directory: Directory) -> None:
    root = directory(LONDON, zi="# version 2031a\n")
    early = loaded()
    assert time_zone_release(early) == "2031a"
    write_zone(root, LONDON, PARIS)
    (root / "tzdata.zi").write_text("# version 2031b\n")
    assert (time_zone_release(early), time_zone_release(loaded())) == ("2031a", "2031b")


def test_r3_a_zone_with_other_data_than_its_file_gets_a_digest(directory: Directory) -> None:
    """Its data were replaced before the first question, so the file says nothing about them."""
    root = directory(LONDON, zi="# version 2031a\n")
    early = loaded()
    write_zone(root, LONDON, PARIS)
    (root / "tzdata.zi").write_text("# version 2031b\n")
    assert time_zone_release(early).startswith("transitions-")


@pytest.mark.parametrize("key", [None, "Mars/Olympus", "../etc/passwd", "Europe", LONDON])
def test_r3_a_zone_of_the_hosts_own_gets_a_digest(key: str | None) -> None:
    assert time_zone_release(made((datetime(2020, 1, 1, tzinfo=UTC), 1), key=key)).startswith("transitions-")


FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2037, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_r3_each_transition_from_2000_to_2037_changes_the_digest() -> None:
    summer, winter = datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2027, 10, 31, 1, tzinfo=UTC)
    zones = [
        made(),
        made(at_first=1),
        made((summer, 1)),
        made((summer, 2)),
        made((summer, 1), (winter, 0)),
        made((summer.replace(second=1), 1), (winter, 0)),
        made((summer, 1), (summer + timedelta(hours=84, seconds=1), 0)),
        made((FIRST.replace(second=1), 1)),
        made((LAST, 1)),
    ]
    digests = [time_zone_release(zone) for zone in zones]
    assert len(set(digests)) == len(zones)


def test_r3_a_transition_before_2000_or_after_2037_changes_no_digest() -> None:
    after = datetime(2038, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert time_zone_release(made((after, 5))) == time_zone_release(made())
    assert time_zone_release(made((FIRST, 1), at_first=5)) == time_zone_release(made(at_first=1))
