"""Scales and seeds: which made-up world, and how large it is.

Owns: the sizes of worlds, and what a world is called.
Must not know: any table.
"""

from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID, uuid5


class Scale(StrEnum):
    """How large a world is."""

    SMALL = "small"
    """To read row by row."""
    CLINIC = "clinic"
    """One organisation at work."""
    REGION = "region"
    """Many places; takes a minute or more."""


class Size(NamedTuple):
    """How many of each there are."""

    facilities: int
    doctors: int
    patients: int
    families: int
    clients: int
    sessions: int
    """Check-ins of each child."""


SIZES: Final = {
    Scale.SMALL: Size(facilities=2, doctors=4, patients=12, families=3, clients=3, sessions=3),
    Scale.CLINIC: Size(facilities=5, doctors=20, patients=400, families=60, clients=60, sessions=6),
    Scale.REGION: Size(facilities=40, doctors=160, patients=4000, families=600, clients=600, sessions=6),
}

_NAMESPACE = UUID("5eed5eed-0000-4000-8000-000000000000")


class Seed(NamedTuple):
    """Which world: the same seed, number, scale and first day make the same world."""

    seed: int
    number: int
    """Counts the tenants of one seed, from 1."""
    scale: Scale
    begin: date
    """The day before which children checked in, and from which patients have appointments."""

    @property
    def slug(self) -> str:
        """The tenant's slug."""
        return f"seed-{self.seed}-{self.number}"

    @property
    def tenant_id(self) -> UUID:
        """The tenant's id."""
        return uuid5(_NAMESPACE, self.slug)
