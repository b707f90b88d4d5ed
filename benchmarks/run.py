"""Benchmarks of docs/benchmarks.md: `make bench`. `make bench ARGS="--openings FILE"` runs the nightly job on a file.

Each figure is a ratio to another measurement of the same run. A comparison checks first that the results are equal.
"""

import argparse
import platform
from datetime import date
from pathlib import Path

from rich.console import Console

import encryption
import expansion
import families
import front_door
import generation
import migrating
import row_security
import signed_setting
import starting
from scheduler.core.zones import zone_of
from scheduler.generation.time_zone_release import time_zone_release


def main() -> None:
    """Run the benchmarks and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = (
        "all",
        "expansion",
        "generation",
        "encryption",
        "row-security",
        "signed-setting",
        "front-door",
        "families",
        "migrating",
        "starting",
    )
    parser.add_argument("part", nargs="?", choices=parts, default="all")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the short measurements")
    parser.add_argument("--openings", type=Path, help="run the nightly job on this file")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=None, help="first day of that run")
    parser.add_argument("--pgcrypto", metavar="URL", help="a PostgreSQL server that has pgcrypto, to encrypt there too")
    wanted = parser.parse_args()
    console = Console(width=110)
    release = time_zone_release(zone_of("Europe/London"))
    console.print(f"Python {platform.python_version()}, time zone data {release}")
    if wanted.part in {"all", "expansion"}:
        console.print(expansion.against_peers(1, rounds=wanted.rounds * 3, slow_count=1))
        console.print(expansion.against_peers(1000, rounds=max(1, wanted.rounds // 5), slow_count=25))
        console.print(expansion.of_many_hours(1000, rounds=max(1, wanted.rounds // 5)))
        console.print(expansion.growth(rounds=wanted.rounds))
    if wanted.part in {"all", "generation"}:
        console.print(generation.against_copy(wanted.openings, wanted.first))
    if wanted.part in {"all", "encryption"}:
        console.print(encryption.against_pgcrypto(wanted.pgcrypto, rounds=max(1, wanted.rounds // 3)))
    if wanted.part in {"all", "migrating"}:
        console.print(migrating.against_a_copy(rounds=max(1, wanted.rounds // 3)))
    if wanted.part in {"all", "starting"}:
        console.print(starting.against_nothing(rounds=wanted.rounds))
    if wanted.part in {"all", "row-security"}:
        console.print(row_security.against_none(calls=wanted.rounds * 100))
    if wanted.part in {"all", "signed-setting"}:
        console.print(signed_setting.against_none(calls=wanted.rounds * 100, tenants=20))
    if wanted.part in {"all", "front-door"}:
        console.print(front_door.against_none(calls=wanted.rounds * 100))
    if wanted.part in {"all", "families"}:
        console.print(families.against_one_by_one(rounds=wanted.rounds))


if __name__ == "__main__":
    main()
