"""Plans: what each worker asks for, and how often.

Owns: the requests, their order and their chance.
Must not know: which desk answers.
"""

from support.contention.history import Value
from support.contention.hot_clinic import HotClinic
from support.contention.workers import WORKERS, Plan, Worker

BY_SQL = ("book", "book", "cancel", "reschedule", "reschedule")


def burst(clinic: HotClinic) -> Plan:
    """Let each worker book each slot for a patient of its own, all at the same time."""

    def plan(worker: Worker) -> None:
        for name in clinic.slots:
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
            worker.ask(f, _value(clinic, worker, f) or {"visit": "none"})

    return plan


def _value(clinic: HotClinic, worker: Worker, f: str) -> Value:
    dice, shared = worker.dice, worker.shared
    visits = [*shared.visits] or ["0"]
    patient = {"patient": f"patient {dice.randrange(WORKERS)}"}
    if f == "book":
        return clinic.place(dice.choice([*clinic.slots])) | patient
    if f == "cancel":
        return {"visit": dice.choice(visits)}
    if f == "reschedule":
        visit = dice.choice(visits)
        return clinic.place(dice.choice(clinic.like(shared.visits.get(visit)))) | {"visit": visit}
    raise AssertionError(f)
