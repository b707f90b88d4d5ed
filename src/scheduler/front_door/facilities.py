"""Facilities: places with a time zone of their own."""

from collections.abc import Mapping
from typing import ClassVar, TypedDict, Unpack
from zoneinfo import ZoneInfo

from sqlmodel import col

from scheduler import models
from scheduler.core.errors import NotFoundError
from scheduler.core.ids import FacilityId
from scheduler.core.readers import country, optional, text
from scheduler.front_door.fields import Field, zone
from scheduler.front_door.repository import Repository
from scheduler.front_door.schedule_changes import ScheduleChange, changing
from scheduler.postgres.schedules import ScheduleKey, schedule_keys


class FacilityFields(TypedDict, total=False):
    """Fields of a facility that `change` takes."""

    slug: str
    name: str
    zone: str | ZoneInfo
    country: str | None
    address: str | None
    phone: str | None


class Facilities(Repository[models.Facility, FacilityId, FacilityId | models.Facility]):
    """The facilities of a tenant."""

    _model = models.Facility
    _id = FacilityId
    _noun = "facility"
    _fields: ClassVar[Mapping[str, Field]] = {
        "slug": Field("slug", text),
        "name": Field("name", text),
        "zone": Field("timezone", zone),
        "country": Field("country", optional(country)),
        "address": Field("address", optional(text)),
        "phone": Field("phone", optional(text)),
    }

    def add(
        self,
        slug: str,
        *,
        name: str,
        zone: str | ZoneInfo,
        country: str | None = None,
        address: str | None = None,
        phone: str | None = None,
    ) -> FacilityId:
        """Add a facility and return the id. `slug` is its short name in addresses and commands; `zone` an IANA name.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            DuplicateError: another facility of the tenant has the slug.
        """
        return self._insert(slug=slug, name=name, zone=zone, country=country, address=address, phone=phone)

    def by_slug(self, slug: str) -> models.Facility:
        """Return the facility with this slug.

        Raises:
            InvalidInputError: the slug cannot be one.
            NotFoundError: there is no such facility.
        """
        wanted = text("facility: slug", slug)
        row: models.Facility | None = self._session.scalars(
            self._live().where(col(models.Facility.slug) == wanted)
        ).first()
        if row is None:
            raise NotFoundError(f"no facility has the slug {wanted!r}")
        return row

    def change(self, facility: FacilityId | models.Facility, **fields: Unpack[FacilityFields]) -> ScheduleChange:
        """Change fields of a facility. Another zone moves the hours of all its doctors, at once.

        Bookings keep their instant; `generate` reports those that now begin at another time of day than was told.
        Errors are those of `add`.
        """
        row = self.get(facility)
        with changing(self._context, self._keys(row) if "zone" in fields else ()) as under_way:
            self._get(row, anew=True)
            self._update(row, fields)
        return under_way.change

    def delete(self, facility: FacilityId | models.Facility) -> ScheduleChange:
        """Delete a facility softly: its open slots are taken away, its visits stay and are conflicts."""
        row = self.get(facility)
        with changing(self._context, self._keys(row)) as under_way:
            self._delete_softly(row)
        return under_way.change

    def _keys(self, facility: models.Facility) -> list[ScheduleKey]:
        return schedule_keys(self._session, facility_id=int(self._read(facility)))
