"""Front desk: `scheduler with-server python front_desk.py TENANT FACILITY` reads commands, one a line."""

import os
import sys
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduler import DoctorId, Hold, PatientId, Scheduler, SchedulerError, ServiceId, Span, Visit, VisitId, VisitOffer


class FrontDesk:
    """The desk of a facility, with the offers that were found last and the hold that was made last."""

    def __init__(self, clinic: Scheduler, tenant: str, facility: str) -> None:
        self.clinic, self.tenant, self.facility = clinic, tenant, facility
        self.offers: list[VisitOffer] = []
        self.held: Hold | str = "none"

    def answer(self, line: str) -> str:
        """Run a command as one transaction, and return its answer after the commit."""
        with self.clinic.tenant(self.tenant) as work:
            match [int(word) if word.isdecimal() else word for word in line.split()]:
                case ["find", int(service), str(day)]:
                    place = work.facilities.by_slug(self.facility)
                    start = datetime.combine(date.fromisoformat(day), time(0), ZoneInfo(place.timezone))
                    week = Span(start, start + timedelta(days=7))
                    self.offers = work.visits.find(ServiceId(service), between=week, facilities=[place])
                    starts = [offer.start_at.astimezone(start.tzinfo) for offer in self.offers]
                    return "\n".join(f"offer {number}: {at:%a %d %b %H:%M}" for number, at in enumerate(starts))
                case ["hold", int(offer)]:
                    self.held = work.visits.hold(self.offers[offer])
                    return f"held until {self.held.ends_at:%H:%M} UTC"
                case ["confirm", int(patient)]:
                    return shown(work.visits.confirm(self.held, patient=PatientId(patient)))
                case ["move", int(visit), int(offer)]:
                    return shown(work.visits.reschedule(VisitId(visit), to=self.offers[offer]))
                case ["cancel", int(visit), *reason]:
                    return shown(work.visits.cancel(VisitId(visit), reason=" ".join(map(str, reason))))
                case ["check_in" | "begin_step" | "complete_step" | "skip_step" | "no_show" as act, int(visit), *step]:
                    return shown(getattr(work.visits, act)(VisitId(visit), *step))
                case ["day", int(doctor), str(day)]:
                    return "\n".join(map(shown, work.visits.of_day(DoctorId(doctor), date.fromisoformat(day)).visits))
        return "find SERVICE DAY, hold OFFER, confirm PATIENT, move VISIT OFFER, cancel VISIT WHY, check_in VISIT, ..."


def shown(visit: Visit) -> str:
    """Return a visit as one line; its start is the time that the patient was told."""
    steps = ", ".join(f"{step.position} {step.status}" for step in visit.steps)
    return f"visit {visit.id}: patient {visit.patient_id}, {visit.local_start:%a %H:%M}, {visit.status} ({steps})"


if __name__ == "__main__":
    with Scheduler(os.environ["SCHEDULER_DATABASE_URL"]) as clinic:
        answer = FrontDesk(clinic, *sys.argv[1:]).answer
        for line in sys.stdin:
            try:
                sys.stdout.write(f"{answer(line)}\n")
            except (SchedulerError, ValueError, IndexError, TypeError) as error:
                sys.stdout.write(f"refused: {error}\n")
