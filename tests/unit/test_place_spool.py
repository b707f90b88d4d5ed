"""The spool of places: it returns what it was given, and says when its disk is full."""

import tempfile
from io import BytesIO
from pathlib import Path

import pytest

from scheduler.core.errors import InvalidInputError
from scheduler.openings.format.file import read_openings, stream_openings
from scheduler.openings.format.spool import PlaceSpool

REGION = Path(__file__).parents[2] / "examples" / "region.jsonl"


def test_a_spool_returns_its_places_in_order_and_again() -> None:
    places = read_openings(REGION).places
    with PlaceSpool() as spool:
        assert stream_openings(REGION, spool.add) == ()
        assert (len(spool), tuple(spool), tuple(spool)) == (len(places), places, places)


def test_two_readers_of_a_spool_do_not_disturb_each_other() -> None:
    places = read_openings(REGION).places
    with PlaceSpool() as spool:
        stream_openings(REGION, spool.add)
        assert list(zip(spool, spool, strict=True)) == list(zip(places, places, strict=True))


def test_a_place_added_while_the_spool_is_read_is_the_last() -> None:
    first, second, *_ = read_openings(REGION).places
    with PlaceSpool() as spool:
        spool.add(first)
        reader = iter(spool)
        assert next(reader) == first
        spool.add(second)
        assert list(reader) == [second]


class _FullDisk(BytesIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_an_error_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.openings.format.spool.TemporaryFile", _FullDisk)
    place, *_ = read_openings(REGION).places
    with PlaceSpool() as spool, pytest.raises(InvalidInputError, match="cannot be written: No space left on device"):
        spool.add(place)


def test_a_folder_without_space_for_the_spool_is_an_error_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nothing-here")
    with pytest.raises(InvalidInputError, match="the temporary file for the places cannot be written"):
        PlaceSpool()
