"""Plans: what each worker asks for, and how often.

Owns: the requests, their order and their chance.
Must not know: which desk answers.
"""

from collections.abc import Sequence

from support.contention.history import Value
from support.contention.hot_clinic import HotClinic
from support.contention.workers import WORKERS, Plan, Worker

HOURS = 600
BY_SQL = ("book", "book", "cancel", "reschedule", "reschedule")
AT_THE_DESK = (*BY_SQL, "book_with_key", "hold", "hold", "hold", "confirm", "confirm", "confirm", "extend", "release")


def burst(clinic: HotClinic, names: Sequence[str] | None = None) -> Plan:
    """Let each worker book each slot for a patient of its own, all at the same time."""

    def plan(worker: Worker) -> None:
        for name in names or clinic.slots:
            worker.wait()
            answer = worker.ask("book", clinic.place(name) | {"patient": f"patient {worker.number}"})
            worker.wait()
            if answer is not None:  # the next slot may overlap this one
                worker.ask("cancel", answer)

    return plan


def mixture(clinic: HotClinic, requests: int, operations: tuple[str, ...] = BY_SQL) -> Plan:
    """Let each worker ask for random operations, also with visits and holds of others."""

    def plan(worker: Worker) -> None:
        for _ in range(requests):
            f = worker.dice.choice(operations)
            if f in {"cancel", "reschedule"} and not worker.shared.visits:
                f = "book"
            worker.ask(f.removesuffix("_with_key"), _value(clinic, worker, f))

    return plan


def confirm_against_block(clinic: HotClinic, names: Sequence[str] | None = None) -> Plan:
    """Let doctors be called away while the holds of their slots are confirmed and others want the time."""
    slots: dict[int, list[str]] = {}
    for name in names or clinic.slots:
        slots.setdefault(clinic.slots[name].doctor, []).append(name)

    def plan(worker: Worker) -> None:
        for doctor, of_doctor in slots.items():
            name = of_doctor[worker.number % len(of_doctor)]
            patient = {"patient": f"patient {worker.number}"}
            held = worker.ask("hold", clinic.place(name) | {"lasts": HOURS}) if worker.number else None
            worker.wait()
            if worker.number == 0:
                worker.ask("block", {"who": f"doctor {doctor}", "start": 0, "end": 60})
            elif held is not None:
                worker.ask("confirm", {"hold": held["hold"]} | patient)
            else:
                worker.ask("book", clinic.place(name) | patient)
            worker.wait()

    return plan


def _value(clinic: HotClinic, worker: Worker, f: str) -> Value:
    dice, shared = worker.dice, worker.shared
    names, visits, holds = [*clinic.slots], [*shared.visits], [*shared.holds][-8:] or ["none"]
    patient = {"patient": f"patient {dice.randrange(WORKERS)}"}
    visit = dice.choice(visits or ["0"])
    match f:
        case "book":
            return clinic.place(dice.choice(names)) | patient
        case "book_with_key":  # a few requests that several workers repeat
            number = dice.randrange(4)
            again = {"patient": f"patient {number}", "key": f"key {number}"}
            return clinic.place(names[number * 3 % len(names)]) | again
        case "hold":
            return clinic.place(dice.choice(names))
        case "confirm":
            return {"hold": dice.choice(holds)} | patient
        case "extend" | "release":
            return {"hold": dice.choice(holds)}
        case "cancel":
            return {"visit": visit}
        case "reschedule":
            return clinic.place(dice.choice(clinic.like(shared.visits.get(visit)))) | {"visit": visit}
    raise AssertionError(f)
