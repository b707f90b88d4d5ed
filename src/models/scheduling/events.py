"""Event records: what happened to visits, and how far a tenant's events are numbered and deleted.

Owns: the rows of events and of their counters.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: how events are written and numbered (the functions of the migrations), their readers (`booking.events`).
"""

from datetime import datetime
from typing import Any, ClassVar

from scheduler.models.columns import (
    count,
    filled_wall_time,
    instant,
    long_text,
    optional_instant,
    optional_reference,
    optional_text,
    reference,
)
from scheduler.models.constraints import index, of_tenant, unique
from scheduler.models.mixins import BigintKeyed, TenantOwned, Timestamped
from scheduler.models.namespaces import SCHEDULING


class Event(Timestamped, BigintKeyed, table=True):
    """One event of a visit: ids, states and times (B10). It references nothing, since it outlives the visit.

    The position is given after the commit of the event, by its first reader. `status` is None after a deletion.
    """

    __tablename__: ClassVar[Any] = "events"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        unique("an_event_has_a_position_of_its_own", "position"),
        index("id", where="position is null"),
        SCHEDULING,
    )

    position: int | None = optional_reference()
    kind: str = long_text()
    appointment_id: int = reference()
    patient_id: int = reference()
    doctor_id: int = reference()
    facility_id: int = reference()
    service_offering_id: int = reference()
    status_before: str | None = optional_text()
    status: str | None = optional_text()
    start_at: datetime = instant()
    end_at: datetime = instant()
    previous_start_at: datetime | None = optional_instant()
    local_start: datetime | None = filled_wall_time()
    zone: str = long_text()


class EventCounter(Timestamped, TenantOwned, table=True):
    """The greatest position of a tenant's events, and the greatest one that was deleted."""

    __tablename__: ClassVar[Any] = "event_counters"
    __table_args__: ClassVar[Any] = (of_tenant(), SCHEDULING)

    last_position: int = count()
    deleted_position: int = count()
