"""Free starts: the starts at which resources are free for a step of a visit.

Owns: the resources by facility and kind, and their sets of starts, computed once for a day and all candidates.
Holds: Q1 (exact), W7 (so many resources of a kind at once).
Must not know: workflows, slots, which visit is sought.
"""

from collections.abc import Sequence
from typing import NamedTuple

from scheduler.core.calendars import Resource
from scheduler.core.chains import EVERYWHERE, Ranges, at_least, starts_within
from scheduler.core.intervals import intersect
from scheduler.core.slots import Id
from scheduler.core.workflows import Need


class Window(NamedTuple):
    """A day with the time before and after it that visits around its slots may reach."""

    begin: int
    end: int


class Shape(NamedTuple):
    """The time of its resources that a step takes, around its start."""

    before: int
    after: int


class Stock:
    """The resources of all facilities, with the sets of starts at which they are free."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._by_kind: dict[tuple[Id, str], list[Resource]] = {}
        for resource in resources:
            self._by_kind.setdefault((resource.facility_id, resource.kind), []).append(resource)
        self._doctors = {resource.doctor_id for resource in resources} - {None}
        self._free: dict[tuple[int, Window], Ranges] = {}
        self._starts: dict[tuple[int, Shape, Window], Ranges] = {}
        self._starts_of_kind: dict[object, Ranges] = {}

    def of(self, facility_id: Id, kind: str, without: Id | None) -> Sequence[Resource]:
        """Return the resources of a kind at a facility, without the person who is a doctor."""
        found = self._by_kind.get((facility_id, kind), ())
        if without not in self._doctors:
            return found
        return [resource for resource in found if resource.doctor_id != without]

    def starts(self, resource: Resource, shape: Shape, window: Window) -> Ranges:
        """Return the starts at which a resource is free for a step."""
        key = id(resource), shape, window
        if key not in self._starts:
            self._starts[key] = starts_within(self._free_in(resource, window), shape.before, shape.after)
        return self._starts[key]

    def starts_of_step(
        self, facility_id: Id, needs: Sequence[Need], without: Id | None, shape: Shape, window: Window
    ) -> Ranges:
        """Return the starts at which all that a step needs, besides its doctor, is free."""
        without = without if without in self._doctors else None
        key = facility_id, needs, without, shape, window
        if key not in self._starts_of_kind:
            starts: Ranges = EVERYWHERE
            for need in needs:
                of_each = [
                    self.starts(resource, shape, window) for resource in self.of(facility_id, need.kind, without)
                ]
                starts = intersect(starts, at_least(of_each, need.quantity))
            self._starts_of_kind[key] = starts
        return self._starts_of_kind[key]

    def _free_in(self, resource: Resource, window: Window) -> Ranges:
        key = id(resource), window
        if key not in self._free:
            self._free[key] = resource.loaded.free(*window)
        return self._free[key]
