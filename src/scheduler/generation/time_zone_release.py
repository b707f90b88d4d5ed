"""Time zone release: the version of the tz database whose data a loaded zone has.

Owns: where zoneinfo reads a zone, the release that is stated there, and the digest of a zone without one.
Holds: R3 (a fingerprint covers the time zone data in use).
Must not know: fingerprints, runs; it reads files and sets nothing in the process.

A process keeps the data with which it loaded a zone, while an update replaces the files. So a stated release counts
only if a zone that is read anew has the same transitions.
"""

import os.path
import re
import zoneinfo
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from scheduler.core.zones import BETWEEN_CHANGES, SECOND, micros, offset_at

_STATED_IN: Final = ("tzdata.zi", "+VERSION")
_RELEASE: Final = re.compile(rb"(?:# version )?([0-9]{4}[\w.+-]{0,60})\s*")
_BEGIN: Final = micros(datetime(2000, 1, 1, tzinfo=UTC)) // SECOND
_END: Final = micros(datetime(2038, 1, 1, tzinfo=UTC)) // SECOND


@lru_cache(maxsize=1024)
def time_zone_release(zone: zoneinfo.ZoneInfo) -> str:
    """Return the release of the tz database whose data the zone has, such as `2026f`.

    It is read where zoneinfo reads the zone: from `tzdata.zi` or `+VERSION` in the directory of `zoneinfo.TZPATH`, or
    in the package tzdata. If neither file states a release, or the zone has other data than its file, the answer is a
    digest of its transitions from 2000 to 2037, such as `transitions-0b1c2d3e4f5a`. The first answer is kept.
    """
    digest = _digest(zone)
    with suppress(KeyError, ValueError, OSError, TypeError):  # as in `zones`: the zone has no file
        if _digest(zoneinfo.ZoneInfo.no_cache(zone.key)) == digest:
            return _stated_release(_source(zone.key)) or digest
    return digest


def releases_on_host() -> frozenset[str]:
    """Return the releases that this host has: in the directories of `zoneinfo.TZPATH`, and in the package tzdata."""
    sources: list[Traversable] = [Path(directory) for directory in zoneinfo.TZPATH]
    with suppress(ModuleNotFoundError):
        sources.append(files("tzdata.zoneinfo"))
    return frozenset(filter(None, map(_stated_release, sources)))


def _source(key: str) -> Traversable:
    """Return the directory, or the folder of the package, where zoneinfo finds a zone."""
    for directory in zoneinfo.TZPATH:
        if os.path.isfile(os.path.join(directory, key)):  # noqa: PTH113, PTH118  # exactly as zoneinfo does
            return Path(directory)
    return files("tzdata.zoneinfo")


def _stated_release(source: Traversable) -> str | None:
    """Return the release that a folder of zones states, if it does."""
    for name in _STATED_IN:
        with suppress(OSError), source.joinpath(name).open("rb") as file:
            stated = _RELEASE.fullmatch(file.readline(100))
            if stated:
                return stated[1].decode("ascii")
    return None


def _digest(zone: zoneinfo.ZoneInfo) -> str:
    lines = "\n".join(f"{at} {offset}" for at, offset in _transitions(zone))
    return f"transitions-{sha256(lines.encode()).hexdigest()[:12]}"


def _transitions(zone: zoneinfo.ZoneInfo) -> Iterator[tuple[int, int]]:
    """Yield the zone's first offset, and each later one, with the second from which it applies."""
    offset = offset_at(zone, _BEGIN * SECOND)
    yield _BEGIN, offset
    for start in range(_BEGIN, _END, BETWEEN_CHANGES):
        low, high = start, min(start + BETWEEN_CHANGES, _END)
        after = offset_at(zone, high * SECOND)
        if after == offset:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset_at(zone, middle * SECOND) == offset:
                low = middle
            else:
                high = middle
        offset = after
        yield high, offset
