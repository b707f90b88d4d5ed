"""Benchmarks of docs/benchmarks.md: `make bench`. `make bench ARGS="--openings FILE"` runs the nightly job on a file.

Each figure is a ratio to another measurement of the same run. A comparison checks first that the results are equal.
"""

import argparse
import platform
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

import contention
import encryption
import expansion
import families
import figures
import front_door
import generation
import holding
import importing
import migrating
import names
import nights
import row_security
import search
import search_in_tables
import search_starts
import signed_setting
import starting
import telemetry
from scheduler.core.zones import zone_of
from scheduler.generation.time_zone_release import time_zone_release


def _expansion(wanted: argparse.Namespace) -> Iterator[Table]:
    yield expansion.against_peers(1, rounds=wanted.rounds * 3, slow_count=1)
    yield expansion.against_peers(1000, rounds=max(1, wanted.rounds // 5), slow_count=25)
    yield expansion.of_many_hours(1000, rounds=max(1, wanted.rounds // 5))
    yield expansion.growth(rounds=wanted.rounds)


def _search(wanted: argparse.Namespace) -> Iterator[Table]:
    yield search.against_trials(rounds=max(1, wanted.rounds // 3))
    yield search_starts.against_every_start(rounds=1)
    yield search_in_tables.in_tables(rounds=wanted.rounds)


def _solver(wanted: argparse.Namespace) -> Iterator[Table]:
    if find_spec("ortools") is not None:
        from search_solver import against_cp_sat  # noqa: PLC0415  # OR-Tools is installed where it is asked for only

        yield against_cp_sat()
    elif wanted.part == "solver":
        raise SystemExit("solver needs OR-Tools: pip install --no-deps --require-hashes -r requirements/benchmarks.txt")


def _full_size(wanted: argparse.Namespace) -> Iterator[Table]:
    if wanted.part == "full-size":  # ten minutes and some gigabytes
        yield nights.of_workers()
        yield nights.of_full_size()


PARTS: Final[dict[str, Callable[[argparse.Namespace], Iterable[Table]]]] = {
    "expansion": _expansion,
    "search": _search,
    "solver": _solver,
    "generation": lambda wanted: [generation.against_copy(wanted.openings, wanted.first)],
    "telemetry": lambda _: [telemetry.of_a_run()],
    "nights": lambda _: [nights.plainer_ways(), nights.of_sizes()],
    "full-size": _full_size,
    "holding": lambda wanted: [holding.against_bare_sql(visits=wanted.rounds * 4)],
    "contention": lambda wanted: contention.against_each_other(slots=wanted.rounds * 20),
    "encryption": lambda wanted: [
        encryption.against_pgcrypto(wanted.pgcrypto, rounds=max(1, wanted.rounds // 3)),
    ],
    "migrating": lambda wanted: [migrating.against_a_copy(rounds=max(1, wanted.rounds // 3))],
    "importing": lambda _: [importing.of_two_sizes()],
    "names": lambda _: [names.against_inserts()],
    "starting": lambda wanted: [starting.against_nothing(rounds=wanted.rounds)],
    "row-security": lambda wanted: [row_security.against_none(calls=wanted.rounds * 100)],
    "signed-setting": lambda wanted: [signed_setting.against_none(calls=wanted.rounds * 100, tenants=20)],
    "front-door": lambda wanted: [front_door.against_none(calls=wanted.rounds * 100)],
    "figures": lambda wanted: [figures.of_a_year(rounds=max(1, wanted.rounds // 5))],
    "families": lambda wanted: [families.against_one_by_one(rounds=wanted.rounds)],
}


def main() -> None:
    """Run the benchmarks and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", *PARTS), default="all")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the short measurements")
    parser.add_argument("--openings", type=Path, help="run the nightly job on this file")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=None, help="first day of that run")
    parser.add_argument("--pgcrypto", metavar="URL", help="a PostgreSQL server that has pgcrypto, to encrypt there too")
    wanted = parser.parse_args()
    console = Console(width=110)
    release = time_zone_release(zone_of("Europe/London"))
    console.print(f"Python {platform.python_version()}, time zone data {release}")
    for name, tables_of in PARTS.items():
        if wanted.part in {"all", name}:
            for table in tables_of(wanted):
                console.print(table)


if __name__ == "__main__":
    main()
