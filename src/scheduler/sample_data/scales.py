"""Scales and seeds: the size and the identity of a sample tenant.

Owns: the number of rows at each scale, and the slug and id of a sample tenant.
Must not know: the tables.
"""

from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID, uuid5


class Scale(StrEnum):
    """The size of a sample tenant."""

    SMALL = "small"
    """Small enough to read row by row."""
    CLINIC = "clinic"
    """One busy organisation."""
    REGION = "region"
    """Many facilities; takes a minute or more."""


class Size(NamedTuple):
    """The number of rows of each kind."""

    facilities: int
    doctors: int
    patients: int
    families: int
    clients: int
    sessions: int
    """Check-ins for each child."""


SIZES: Final = {
    Scale.SMALL: Size(facilities=2, doctors=4, patients=12, families=3, clients=3, sessions=3),
    Scale.CLINIC: Size(facilities=5, doctors=20, patients=400, families=60, clients=60, sessions=6),
    Scale.REGION: Size(facilities=40, doctors=160, patients=4000, families=600, clients=600, sessions=6),
}

_NAMESPACE: Final = UUID("5eed5eed-0000-4000-8000-000000000000")


class Seed(NamedTuple):
    """The identity of a sample tenant: equal seeds make equal tenants."""

    seed: int
    number: int
    """The position among the tenants of the seed, from 1."""
    scale: Scale
    begin: date
    """The first day of appointments; check-ins are on the days before."""

    @property
    def slug(self) -> str:
        """The tenant's slug."""
        return f"seed-{self.seed}-{self.number}"

    @property
    def tenant_id(self) -> UUID:
        """The tenant's id."""
        return uuid5(_NAMESPACE, self.slug)
