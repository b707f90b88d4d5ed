"""Visit holds: holding the visit of an offer, extending and releasing the hold; the channel of a decision.

Owns: the reading of arguments, and the choice of the channel for which an offer is decided on.
Holds: B2 (only the token opens a hold).
Must not know: how a visit is decided on or written (`booking`).
"""

from datetime import timedelta

from scheduler import models
from scheduler.booking.calls import at_the_desk
from scheduler.booking.holds import (
    Hold,
    extend_hold,
    held_visit,
    hold_visit,
    lasting,
    release_hold,
    renew_token,
)
from scheduler.booking.people import Person
from scheduler.booking.policies import check_known
from scheduler.booking.requests import Answer
from scheduler.booking.stored_offers import held_offer
from scheduler.core.offers import VisitOffer
from scheduler.front_door.repeated_calls import RepeatedCalls
from scheduler.front_door.visit_arguments import asked, optional_text, token_of, wanted_visit
from scheduler.front_door.visit_search import VisitSearch


class VisitHolds(RepeatedCalls, VisitSearch):
    """Visits of a tenant are held."""

    def hold(
        self,
        offer: VisitOffer,
        *,
        label: str | None = None,
        lasts: timedelta | None = None,
        channel: str | None = None,
        key: str | None = None,
    ) -> Hold:
        """Hold the visit of an offer for whoever has the token, as long as the policy says unless `lasts` does.

        It ends by itself; without a policy, after ten minutes. Resources that were taken meanwhile are replaced by free
        ones; the times stay. `label` is for you, such as the name of a screen. A repeated call with the same key
        returns the same hold with a new token.

        The rules are those of the channel on which the offer was found. `channel` names another one: do so where the
        offer comes back from outside, and channels differ. A user who is not staff is never on the channel `desk`.

        Raises:
            SlotTakenError: somebody else has the place, the doctor or a resource; `next_start_at` is another start.
            NotOfferedError: there is no such visit; `reasons` has why.
            CapReachedError: a cap of the day or the week is reached; `cap` says which, `count` how many it counts.
            TooManyHoldsError: the user is not staff, and holds three visits.
            KeyReusedError, BusyError: the key belongs to another call, or to one that has not ended.
            InvalidInputError: an argument is invalid.
        """
        wanted, length = wanted_visit("hold: offer", offer), None if lasts is None else lasting(lasts)
        shown = optional_text("hold: label", label, models.Hold, "label")
        by = self._ask()
        route = self._channel_of(offer, channel, by)
        now, random_bytes = self._context.clock(), self._context.random_bytes

        def first(*, careful: bool) -> tuple[Hold, Answer]:
            check_known(self._session, "visits", route)
            id_, held = hold_visit(
                self._session,
                wanted,
                by=by,
                channel=route,
                now=now,
                lasts=length,
                label=shown,
                random_bytes=random_bytes,
                careful=careful,
            )
            return held, {"hold": id_}

        def again(answer: Answer) -> Hold:
            held, token, ends_at = renew_token(self._session, answer["hold"], random_bytes=random_bytes)
            return Hold(token, ends_at, held_offer(self._session, held))

        return self._once(key, ["hold", asked(wanted), route, shown, length and length.total_seconds()], first, again)

    def extend(self, hold: Hold | str, *, lasts: timedelta) -> Hold:
        """Let a hold, or that of a token, last so long from now on; at most 24 hours.

        Raises:
            HoldEndedError: it has ended.
            UnknownHoldError: no hold has this token, or it is another user's.
        """
        length = lasting(lasts)
        token, by = token_of(hold), self._ask()
        with at_the_desk(self._session):
            held = held_visit(self._session, token, by=by)
            offer = hold.offer if isinstance(hold, Hold) else held_offer(self._session, held)
            longer = Hold(token, extend_hold(self._session, held, lasts=length), offer)
        self._context.booked(None)
        return longer

    def release(self, hold: Hold | str) -> None:
        """End a hold, or that of a token, so that others can have the visit. One that has ended stays as it is.

        Raises:
            UnknownHoldError: no hold has this token, or it is another user's.
        """
        token, by = token_of(hold), self._ask()
        with at_the_desk(self._session):
            release_hold(self._session, held_visit(self._session, token, by=by, ended=True))
        self._context.booked(None)

    def _channel_of(self, offer: VisitOffer, channel: str | None, by: Person) -> str:
        """Return the channel of a decision: the one that the call names, else that of the offer.

        The first call checks that the channel is known; a repeated one gets its answer also if it no longer is (B3).
        """
        return self._channel(offer.channel if channel is None else channel, by)
