"""Sample placements: clients in care with their encrypted records, and the contributors to these records.

Owns: the invented clients, staff, specialists, medications, placements, forms and contributions.
Must not know: how values are encrypted (`scheduler.postgres.encryption.phi`).
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle
from typing import Final

import scheduler.models as rows
from scheduler.postgres.encryption import phi
from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.places import Places
from scheduler.sample_data.scales import Size

_CONDITIONS: Final = (
    ("asthma", "salbutamol", "2 puffs", "when short of breath"),
    ("ADHD", "methylphenidate", "10 mg", "every morning"),
    ("epilepsy", "levetiracetam", "500 mg", "twice a day"),
)
_FORM_FIELDS: Final = ("diagnosis", "allergies", "education", "emergency_contact_name")


def make_placements(factory: Factory, places: Places, keys: KeyRing, size: Size, *, begin: date) -> None:
    """Make clients with a placement and two medications each, treated by doctors of the places."""
    staff = _staff(factory, places, begin)
    specialists = _specialists(factory, places, keys)
    clients = _clients(factory, places, size.clients, begin)
    _medications(factory, clients, keys, begin)
    placements = _placements(factory, clients, keys, begin)
    factory.write(
        factory.build(rows.PlacementInfoSpecialist, placement_info_id=placement.id, specialist_id=specialist.id)
        for placement, specialist in zip(placements, cycle(specialists), strict=False)
    )
    _forms(factory, placements, staff, keys, begin)


def _staff(factory: Factory, places: Places, begin: date) -> list[rows.User]:
    users = factory.write(
        factory.build(rows.User, name=factory.fake.name(), email=f"care-{number}@example.org", role=rows.UserRole.STAFF)
        for number, _ in enumerate(places.facilities, start=1)
    )
    factory.write(
        factory.build(
            rows.FacilityStaff,
            facility_id=facility.id,
            user_id=user.id,
            position="key worker",
            is_primary=True,
            started_on=begin - timedelta(days=400),
        )
        for facility, user in zip(places.facilities, users, strict=True)
    )
    return users


def _specialists(factory: Factory, places: Places, keys: KeyRing) -> list[rows.Specialist]:
    specialists = [
        factory.build(rows.Specialist, doctor_id=doctor.id, user_id=doctor.user_id, specialty=doctor.specialty)
        for doctor in places.doctors
    ]
    for specialist, doctor in zip(specialists, places.doctors, strict=True):
        plaintexts = {"name": doctor.display_name, "phone": factory.fake.numerify("+44 7### ######")}
        phi.write(factory.session, keys, specialist, plaintexts)
    return factory.write(specialists)


def _clients(factory: Factory, places: Places, count: int, begin: date) -> list[rows.Client]:
    fake = factory.fake
    return factory.write(
        factory.build(
            rows.Client,
            first_name=fake.first_name(),
            last_name=fake.last_name(),
            date_of_birth=date(2009, 1, 1) + timedelta(days=fake.random_int(0, 3000)),
            facility_id=facility.id,
            admitted_on=begin - timedelta(days=fake.random_int(10, 300)),
        )
        for _, facility in zip(range(count), cycle(places.facilities), strict=False)
    )


def _medications(factory: Factory, clients: Sequence[rows.Client], keys: KeyRing, begin: date) -> None:
    medications = []
    for number, client in enumerate(clients):
        for position in (0, 1):
            _, name, dosage, frequency = _CONDITIONS[(number + position) % len(_CONDITIONS)]
            medication = factory.build(
                rows.Medication,
                client_id=client.id,
                started_on=begin - timedelta(days=30 * (position + 1)),
                ended_on=None if position else begin,
            )
            phi.write(factory.session, keys, medication, {"name": name, "dosage": dosage, "frequency": frequency})
            medications.append(medication)
    factory.write(medications)


def _placements(
    factory: Factory, clients: Sequence[rows.Client], keys: KeyRing, begin: date
) -> list[rows.PlacementInfo]:
    fake, placements = factory.fake, []
    for number, client in enumerate(clients):
        placement = factory.build(
            rows.PlacementInfo,
            client_id=client.id,
            facility_id=client.facility_id,
            placed_on=client.admitted_on,
            expected_end_on=begin + timedelta(days=180),
        )
        plaintexts = {
            "legal_status": "in care by agreement",
            "diagnosis": _CONDITIONS[number % len(_CONDITIONS)][0],
            "allergies": "penicillin" if number % 2 else "none known",
            "education": f"Year {7 + number % 5}",
            "emergency_contact_name": fake.name(),
            "emergency_contact_phone": fake.numerify("+44 7### ######"),
            "insurance_member_id": fake.bothify("??######").upper(),
            "notes": fake.sentence(12),
        }
        phi.write(factory.session, keys, placement, plaintexts)
        placements.append(placement)
    return factory.write(placements)


def _forms(
    factory: Factory, placements: Sequence[rows.PlacementInfo], staff: Sequence[rows.User], keys: KeyRing, begin: date
) -> None:
    submitted_at = datetime.combine(begin, time(10), UTC)
    factory.write(
        factory.build(
            rows.FormMetadata,
            placement_info_id=placement.id,
            form_name="admission",
            status="submitted",
            submitted_at=submitted_at,
        )
        for placement in placements
    )
    workers = factory.write(
        factory.build(rows.Contributor, placement_info_id=placement.id, kind="user", user_id=user.id)
        for placement, user in zip(placements, cycle(staff), strict=False)
    )
    relatives = []
    for placement in placements:
        relative = factory.build(rows.Contributor, placement_info_id=placement.id, kind="outside")
        phi.write(factory.session, keys, relative, {"name": factory.fake.name()})
        relatives.append(relative)
    factory.write(relatives)
    factory.write(
        factory.build(
            rows.FormFieldContribution,
            placement_info_id=contributor.placement_info_id,
            contributor_id=contributor.id,
            field_name=field,
            contributed_at=submitted_at,
        )
        for contributor in [*workers, *relatives]
        for field in _FORM_FIELDS[:: 1 if contributor.user_id else 2]
    )
