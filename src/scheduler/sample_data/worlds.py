"""Worlds: everything that one tenant has, made up from a seed.

Owns: the order in which the parts of a world are made.
Must not know: how a part is made.
"""

from collections.abc import Callable

from faker import Faker
from sqlmodel import Session

from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.families import make_families
from scheduler.sample_data.placements import make_placements
from scheduler.sample_data.places import make_places
from scheduler.sample_data.scales import SIZES, Seed
from scheduler.sample_data.visits import make_visits
from scheduler.sample_data.wellbeing import make_wellbeing


def make_world(session: Session, seed: Seed, keys: KeyRing, *, told: Callable[[str], None]) -> None:
    """Make a tenant's world within one unit of work of that tenant; `told` hears which part is being made.

    The tenant is there already, and so are the months of the slots that are booked (two weeks from `begin`).
    """
    fake = Faker("en_GB")
    fake.seed_instance(f"{seed.seed}/{seed.number}/{seed.scale}")
    factory = Factory(session, fake, seed.tenant_id)
    size = SIZES[seed.scale]
    told("places")
    places = make_places(factory, size, begin=seed.begin)
    told("visits")
    make_visits(factory, places, size, begin=seed.begin)
    told("families")
    homes = make_families(factory, size)
    told("wellbeing")
    make_wellbeing(factory, homes, places.doctors, size, begin=seed.begin)
    told("placements")
    make_placements(factory, places, keys, size, begin=seed.begin)
