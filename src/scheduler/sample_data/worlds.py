"""Sample tenant: all data of one tenant, made from a seed.

Owns: the order in which the parts are made.
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


def make_world(session: Session, seed: Seed, keys: KeyRing, *, progress: Callable[[str], None]) -> None:
    """Make the data of a sample tenant within a unit of work of that tenant.

    `progress` gets the name of each part. The tenant must exist, and so must the partitions of the booked slots (two
    weeks from `begin`).
    """
    fake = Faker("en_GB")
    fake.seed_instance(f"{seed.seed}/{seed.number}/{seed.scale}")
    factory = Factory(session, fake, seed.tenant_id)
    size = SIZES[seed.scale]
    progress("places")
    places = make_places(factory, size, begin=seed.begin)
    progress("visits")
    make_visits(factory, places, size, begin=seed.begin)
    progress("families")
    homes = make_families(factory, size)
    progress("wellbeing")
    make_wellbeing(factory, homes, places.doctors, size, begin=seed.begin)
    progress("placements")
    make_placements(factory, places, keys, size, begin=seed.begin)
