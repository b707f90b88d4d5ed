"""Unfit visits: the steps because of which no visit fits around a slot.

Owns: the reasons against the steps of a visit around a slot, from the sets of starts of the search.
Holds: Q3 (step 2 has no room).
Must not know: rows, slots that are full or not stored.

Each step is placed as the search places it, with all waits that it may have. A step without room is then left out of
account, so that those behind it are judged, too.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from scheduler.core.calendars import OpenSlot
from scheduler.core.chains import EVERYWHERE, Ranges, contains, earliest, latest, starts_within
from scheduler.core.free_starts import Window
from scheduler.core.intervals import intersect
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.search_plans import Plan
from scheduler.core.workflows import DOCTOR
from scheduler.core.zones import FIRST_INSTANT, LAST_INSTANT, instant

_DOCTOR_TAKEN: Final = "a visit or a hold takes the doctor"
_DOCTOR_AWAY: Final = "the doctor does not work then"


class UnfitPlan(Plan):
    """The visits of one candidate, with the reasons against those that do not fit."""

    def reasons(self, slot: OpenSlot) -> list[Reason]:
        """Return the reasons against the steps of a visit around a slot, none if each step by itself has room."""
        window = self._window(slot.start)
        sets = self._sets(slot, window)
        reasons = [*self._of_anchor(slot, window), *self._of_others(slot, sets, window)]
        return reasons or list(self._of_groups(slot, sets, window))

    def _of_anchor(self, slot: OpenSlot, window: Window) -> Iterator[Reason]:
        if self._with_doctor:
            if not self._doctor_is_unused(slot):
                yield self._reason(ReasonCode.BOOKED, slot, self.anchor, _DOCTOR_TAKEN)
            if not self._doctor_works(slot):
                yield self._reason(ReasonCode.OUTSIDE_RULES, slot, self.anchor, _DOCTOR_AWAY)
        if not contains(self._starts_of_step(self.anchor, window), slot.start):
            yield self._reason(ReasonCode.NO_RESOURCE, slot, self.anchor, self._needed(self.anchor))

    def _of_others(self, slot: OpenSlot, sets: list[Ranges], window: Window) -> Iterator[Reason]:
        reached, hours = list(sets), self._hours(slot)
        for place in [*range(self.anchor + 1, len(self.steps)), *reversed(range(self.anchor))]:
            if self._has_room(slot, place, reached):
                continue
            with_resources = [*reached]
            with_resources[place] = self._starts_of_step(place, window)
            if place not in self._with_doctor or not self._has_room(slot, place, with_resources):
                yield self._reason(ReasonCode.NO_RESOURCE, slot, place, self._needed(place))
            elif not self._has_room(slot, place, hours):
                yield self._reason(ReasonCode.OUTSIDE_RULES, slot, place, _DOCTOR_AWAY)
            else:
                with_resources[place] = intersect(with_resources[place], hours[place])
                if self._has_room(slot, place, with_resources):
                    yield self._reason(ReasonCode.BOOKED, slot, place, _DOCTOR_TAKEN)
                else:  # while the doctor works, others have the resources of this step or of one before it
                    yield self._reason(ReasonCode.NO_RESOURCE, slot, place, self._needed(place))
            reached[place] = EVERYWHERE

    def _hours(self, slot: OpenSlot) -> list[Ranges]:
        """Return the starts of each step that the hours of the doctor alone allow."""
        working = self._working(slot)
        return [
            starts_within(working, *self._shapes[place]) if place in self._with_doctor else EVERYWHERE
            for place in range(len(self.steps))
        ]

    def _of_groups(self, slot: OpenSlot, sets: Sequence[Ranges], window: Window) -> Iterator[Reason]:
        gap = FIRST_INSTANT, LAST_INSTANT
        chosen = (self._chosen_sets(sets, choice, window) for choice in self._choices())
        if any(self._times(slot.start, each, gap) for each in chosen):
            return
        for group in self._groups:
            *sooner, last = sorted(self.steps[place].position for place in group.places)
            steps = f"steps {', '.join(map(str, sooner))} and {last}"
            yield self._reason(
                ReasonCode.NO_RESOURCE, slot, min(group.places), f"no {group.kind} has room for {steps}", named=False
            )

    def _has_room(self, slot: OpenSlot, place: int, sets: Sequence[Ranges]) -> bool:
        """Tell whether the steps from the anchor to another one find starts one after another."""
        anchor = self.anchor
        if place > anchor:
            lasts = [LAST_INSTANT - shape.after for shape in self._shapes[anchor + 1 : place + 1]]
            links = self._links[anchor:place]
            return earliest(slot.start, links, sets[anchor + 1 : place + 1], lasts) is not None
        links, earlier = self._links[place:anchor][::-1], sets[place:anchor][::-1]
        return latest(slot.start, links, earlier, [FIRST_INSTANT] * len(links)) is not None

    def _needed(self, place: int) -> str:
        needs = [f"{need.quantity} of {need.kind}" for need in self.steps[place].all_needs if need.kind != DOCTOR]
        return f"it needs {', '.join(needs)}" if needs else "it does not follow the others"

    def _reason(self, code: ReasonCode, slot: OpenSlot, place: int, text: str, *, named: bool = True) -> Reason:
        """Return a reason against a step, at the time that it would have without waits."""
        ahead = sum(link.distance for link in self._links[place : self.anchor])
        behind = sum(link.distance for link in self._links[self.anchor : place])
        at, shape, step = slot.start - ahead + behind, self._shapes[place], self.steps[place]
        if named:
            text = f"step {step.position} ({step.template.name}) has no room: {text}"
        begin_at, end_at = instant(at - shape.before), instant(at + shape.after)
        return Reason(code, begin_at, end_at, text, (instant(slot.start),), slot.rule_id)
