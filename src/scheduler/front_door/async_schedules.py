"""Async schedules: the asynchronous twins of rules, exceptions, closures and open slots.

Owns: the list of the awaited methods, one line each, and the overloads that `awaited` would lose.
Must not know: what the methods do (the repositories), how a call is awaited (`awaiting`).
"""

from typing import TYPE_CHECKING, Any, Final, overload

from scheduler import models
from scheduler.core.ids import DoctorId, OfferingId
from scheduler.front_door.awaiting import AsyncTwin, awaited
from scheduler.front_door.closures import Closures
from scheduler.front_door.exceptions import AnyException, Exceptions
from scheduler.front_door.rules import AnyRule, Rules
from scheduler.front_door.slots import OpenSlots

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, time, timedelta

    from scheduler.core.releases import Release
    from scheduler.core.schedules import AvailabilityRule
    from scheduler.core.slots import Slot
    from scheduler.core.spans import Span
    from scheduler.core.weekdays import Weekday
    from scheduler.front_door.parts import AnyDoctor, AnyFacility
    from scheduler.front_door.resource_hours import AnyResource, AnyResourceException, AnyResourceRule

Bookable = OfferingId | models.ServiceOffering | DoctorId | models.Doctor


class AsyncRules(AsyncTwin[Rules]):
    """The availability rules of a tenant."""

    all: Final = awaited(Rules.all)
    change: Final = awaited(Rules.change)
    end: Final = awaited(Rules.end)
    delete: Final = awaited(Rules.delete)

    if TYPE_CHECKING:  # a type checker would keep the first overload only

        @overload
        async def get(self, which: AnyRule) -> models.AvailabilityRule: ...

        @overload
        async def get(self, which: AnyResourceRule) -> models.ResourceRule: ...

        async def get(self, *args: Any, **kwargs: Any) -> Any:
            """As `Rules.get`."""

        @overload
        async def of(self, who: AnyDoctor, *, at: AnyFacility) -> tuple[AvailabilityRule, ...]: ...

        @overload
        async def of(self, who: AnyResource, *, at: AnyFacility) -> tuple[models.ResourceRule, ...]: ...

        async def of(self, *args: Any, **kwargs: Any) -> Any:
            """As `Rules.of`."""

        @overload
        async def add(
            self,
            who: AnyDoctor,
            *,
            at: AnyFacility,
            on: Weekday | Iterable[Weekday] | None,
            start: time,
            end: time,
            slot_duration: timedelta,
            slot_interval: timedelta | None = None,
            alignment: timedelta | None = None,
            capacity: int = 1,
            offering: OfferingId | models.ServiceOffering | None = None,
            effective_from: date | None = None,
            effective_until: date | None = None,
            recurrence: str | None = None,
            release: Release | None = None,
        ) -> tuple[AvailabilityRule, ...]: ...

        @overload
        async def add(
            self,
            who: AnyResource,
            *,
            at: AnyFacility,
            on: Weekday | Iterable[Weekday] | None,
            start: time,
            end: time,
            effective_from: date | None = None,
            effective_until: date | None = None,
            recurrence: str | None = None,
        ) -> tuple[models.ResourceRule, ...]: ...

        async def add(self, *args: Any, **kwargs: Any) -> Any:
            """As `Rules.add`."""
    else:
        get = awaited(Rules.get)
        of = awaited(Rules.of)
        add = awaited(Rules.add)


class AsyncExceptions(AsyncTwin[Exceptions]):
    """The availability exceptions of a tenant."""

    all: Final = awaited(Exceptions.all)
    block: Final = awaited(Exceptions.block)
    override: Final = awaited(Exceptions.override)
    emergency: Final = awaited(Exceptions.emergency)
    remove: Final = awaited(Exceptions.remove)

    if TYPE_CHECKING:

        @overload
        async def get(self, which: AnyException) -> models.AvailabilityException: ...

        @overload
        async def get(self, which: AnyResourceException) -> models.ResourceException: ...

        async def get(self, *args: Any, **kwargs: Any) -> Any:
            """As `Exceptions.get`."""

        @overload
        async def of(self, who: AnyDoctor, *, at: AnyFacility) -> tuple[models.AvailabilityException, ...]: ...

        @overload
        async def of(self, who: AnyResource, *, at: AnyFacility) -> tuple[models.ResourceException, ...]: ...

        async def of(self, *args: Any, **kwargs: Any) -> Any:
            """As `Exceptions.of`."""
    else:
        get = awaited(Exceptions.get)
        of = awaited(Exceptions.of)


class AsyncClosures(AsyncTwin[Closures]):
    """The closures of the facilities of a tenant."""

    get: Final = awaited(Closures.get)
    all: Final = awaited(Closures.all)
    of: Final = awaited(Closures.of)
    add: Final = awaited(Closures.add)
    remove: Final = awaited(Closures.remove)


class AsyncOpenSlots(AsyncTwin[OpenSlots]):
    """The slots of a tenant that can still be booked."""

    if TYPE_CHECKING:

        @overload
        async def open(self, what: Bookable, *, day: date, limit: int = 100) -> list[Slot]: ...

        @overload
        async def open(self, what: Bookable, *, between: Span, limit: int = 100) -> list[Slot]: ...

        async def open(self, *args: Any, **kwargs: Any) -> list[Slot]:
            """As `OpenSlots.open`."""
            raise NotImplementedError
    else:
        open = awaited(OpenSlots.open)
