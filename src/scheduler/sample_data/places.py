"""Sample places: facilities in several time zones, with doctors who each work at two of them.

Owns: the invented facilities, doctors, services, offerings, rules, exceptions and closed days.
Must not know: patients and their visits.

Every doctor works at a first facility with a lunch break, and at a second one every other Thursday evening. One doctor
is on leave for a week, one works on a Saturday, and one falls ill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final

from scheduler.core.zones import instant_at, zone_of
from scheduler.models import (
    Address,
    AvailabilityException,
    AvailabilityRule,
    BookingPolicy,
    Doctor,
    Facility,
    FacilityClosure,
    FacilityDoctor,
    Service,
    ServiceOffering,
    User,
    UserRole,
)
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.scales import Size

_ZONES: Final = (("Europe/London", "GB"), ("America/New_York", "US"), ("Europe/Berlin", "DE"), ("Asia/Kolkata", "IN"))
_SERVICES: Final = (
    ("Consultation", "CPT", "99213", 20),
    ("Physiotherapy", "CPT", "97110", 30),
    ("Vaccination", "CPT", "90471", 20),
    ("Counselling", "Custom", None, 40),
)
_CLOSURES: Final[tuple[tuple[int, dict[str, Any]], ...]] = (
    (16, {"reason": "stocktaking"}),
    (23, {"reason": "training", "start_time": time(13), "end_time": time(0)}),
)
_SPECIALTIES: Final = ("General practice", "Paediatrics", "Physiotherapy", "Psychology")
_WEEKDAYS: Final = range(1, 6)


@dataclass(frozen=True)
class Places:
    """The facilities, doctors and offerings of a tenant."""

    facilities: Sequence[Facility]
    doctors: Sequence[Doctor]
    offerings: Sequence[ServiceOffering]
    lengths: Mapping[int, int]
    """The length of each offering in minutes, by its id."""


def make_places(factory: Factory, size: Size, *, begin: date) -> Places:
    """Make facilities, doctors and their hours, from the Monday on or after `begin`."""
    facilities = _facilities(factory, size.facilities)
    doctors = _doctors(factory, size.doctors)
    services = factory.write(
        factory.build(Service, name=name, code_system=system, code=code, default_duration_minutes=minutes)
        for name, system, code, minutes in _SERVICES
    )
    first_facilities = [facilities[number % len(facilities)] for number in range(len(doctors))]
    second_facilities = [facilities[(number + 1) % len(facilities)] for number in range(len(doctors))]
    posts = [*zip(doctors, first_facilities, strict=True), *zip(doctors, second_facilities, strict=True)]
    factory.write(
        factory.build(FacilityDoctor, doctor_id=doctor.id, facility_id=facility.id, role="attending")
        for doctor, facility in posts
    )
    offerings = factory.write(
        factory.build(
            ServiceOffering,
            service_id=services[number % len(services)].id,
            doctor_id=doctor.id,
            facility_id=facility.id,
            buffer_after_minutes=5 * (number % 2),
        )
        for number, (doctor, facility) in enumerate(posts)
    )
    monday = begin + timedelta(days=-begin.weekday() % 7)
    minutes = {service.id: service.default_duration_minutes for service in services}
    lengths = {offering.id or 0: minutes[offering.service_id] for offering in offerings}
    _hours(factory, offerings[: len(doctors)], lengths)
    _evenings(factory, offerings[len(doctors) :], monday)
    _exceptions(factory, posts[: len(doctors)], monday)
    factory.write(
        factory.build(FacilityClosure, facility_id=facility.id, day=monday + timedelta(days=after), **fields)
        for facility in facilities
        for after, fields in _CLOSURES
    )
    factory.make(BookingPolicy, channel="web", notice_minutes=60, horizon_days=90, cancel_days=1, cancel_until=time(16))
    return Places(facilities, doctors, offerings, lengths)


def _facilities(factory: Factory, count: int) -> list[Facility]:
    addresses = factory.write(
        factory.build(
            Address, city=factory.fake.city(), postcode=factory.fake.postcode(), country=_ZONES[number % 4][1]
        )
        for number in range(count)
    )
    return factory.write(
        factory.build(
            Facility,
            name=f"{address.city} Health Centre",
            slug=f"place-{number + 1}",
            timezone=_ZONES[number % len(_ZONES)][0],
            country=address.country,
            phone=factory.fake.numerify("+44 20 #### ####"),
            address_id=address.id,
        )
        for number, address in enumerate(addresses)
    )


def _doctors(factory: Factory, count: int) -> list[Doctor]:
    names = [(factory.fake.first_name(), factory.fake.last_name()) for _ in range(count)]
    users = factory.write(
        factory.build(User, name=f"{first} {last}", email=f"doctor-{number + 1}@example.org", role=UserRole.DOCTOR)
        for number, (first, last) in enumerate(names)
    )
    return factory.write(
        factory.build(
            Doctor,
            first_name=first,
            last_name=last,
            display_name=f"Dr {first} {last}",
            specialty=_SPECIALTIES[number % len(_SPECIALTIES)],
            npi=factory.fake.numerify("##########"),
            user_id=user.id,
        )
        for number, ((first, last), user) in enumerate(zip(names, users, strict=True))
    )


def _hours(factory: Factory, offerings: Sequence[ServiceOffering], lengths: Mapping[int, int]) -> None:
    lunch = (time(12, 30), time(13, 30))
    factory.write(
        factory.build(
            AvailabilityRule,
            doctor_id=offering.doctor_id,
            facility_id=offering.facility_id,
            service_offering_id=offering.id,
            day_of_week=weekday,
            start_time=start,
            end_time=end,
            slot_duration_minutes=lengths[offering.id or 0],
        )
        for offering in offerings
        for weekday in _WEEKDAYS
        for start, end in pairwise((time(9), *lunch, time(17)))
        if start != lunch[0]
    )


def _evenings(factory: Factory, offerings: Sequence[ServiceOffering], monday: date) -> None:
    factory.write(
        factory.build(
            AvailabilityRule,
            doctor_id=offering.doctor_id,
            facility_id=offering.facility_id,
            service_offering_id=offering.id,
            day_of_week=4,
            start_time=time(18, 30),
            end_time=time(20, 30),
            slot_duration_minutes=30,
            effective_from=monday,
            recurrence="FREQ=WEEKLY;INTERVAL=2",
        )
        for offering in offerings
    )


def _exceptions(factory: Factory, posts: Sequence[tuple[Doctor, Facility]], monday: date) -> None:
    tuesday, saturday, monday_after = (monday + timedelta(days=days) for days in (1, 5, 7))
    exceptions = (
        ("blocked", "annual leave", (monday, 0), (monday_after, 0), None),
        ("override", "Saturday clinic", (saturday, 9), (saturday, 13), 20),
        ("emergency", "taken ill", (tuesday, 14), (tuesday, 17), None),
    )
    factory.write(
        factory.build(
            AvailabilityException,
            doctor_id=doctor.id,
            facility_id=facility.id,
            type=kind,
            reason=reason,
            start_at=_instant(facility, *start),
            end_at=_instant(facility, *end),
            local_start=_on_the_clock(*start),
            local_end=_on_the_clock(*end),
            slot_duration_minutes=minutes,
        )
        for (doctor, facility), (kind, reason, start, end, minutes) in zip(posts, exceptions, strict=False)
    )


def _instant(facility: Facility, day: date, hour: int) -> datetime:
    return instant_at(zone_of(facility.timezone), day, timedelta(hours=hour))


def _on_the_clock(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour))
