"""Requests of unknown outcome: what later answers tell about them.

Owns: the ids of such requests, and the outcome that the last reading proves.
Must not know: how an order is searched.

Each request of unknown outcome doubles what a search may try, so all are decided that can be. This rests on two facts:
nobody can name a visit whose booking was never answered, and a cancelled visit stays so.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from support.contention.desk_model import request_of, unknown
from support.contention.history import Operation, Type


def with_ids(history: Sequence[Operation]) -> list[Operation]:
    """Give a request of unknown outcome the visit that its repetition was answered, or an id that nobody knows."""
    answers = {
        (operation.value["key"], request_of(operation)): operation.answer
        for operation in history
        if operation.type is Type.OK and "key" in operation.value and "visit" in operation.answer
    }
    return [
        replace(operation, answer=answers.get((operation.value.get("key"), request_of(operation)), unknown(operation)))
        if operation.type is Type.INFO
        else operation
        for operation in history
    ]


def resolved(history: Sequence[Operation]) -> list[Operation]:
    """Decide, by the last operation if it reads everything, which requests of unknown outcome took effect."""
    if not history or history[-1].f != "read" or any(later.end > history[-1].begin for later in _answered(history)):
        return list(history)
    rows = {str(row[0]): row for row in history[-1].answer["visits"]}
    named = {str(operation.answer["visit"]) for operation in _answered(history) if "visit" in operation.answer}
    unnamed = Counter((row[1], row[2]) for id_, row in rows.items() if id_ not in named)
    unanswered = [operation for operation in history if operation.type is Type.INFO]
    booked = Counter(_content(operation) for operation in unanswered if _is_open(operation, "book"))
    # A row may come from one of these, too.
    others = any(operation.f == "confirm" or "key" in operation.value for operation in unanswered)
    cancelled = {
        operation.value["visit"] for operation in history if operation.f == "cancel" and operation.type is Type.OK
    }
    cancelling = Counter(operation.value["visit"] for operation in unanswered if operation.f == "cancel")
    kept = []
    for operation in history:
        took_effect: bool | None = None
        if _is_open(operation, "book"):
            places = unnamed[_content(operation)]
            if places == 0 or (places == booked[_content(operation)] and not others):
                took_effect = places > 0
        elif _is_open(operation, "cancel"):
            visit = operation.value["visit"]
            if visit in rows or visit in cancelled:
                took_effect = False
            elif cancelling[visit] == 1:
                took_effect = True
        if took_effect is None:
            kept.append(operation)
        elif took_effect:
            kept.append(replace(operation, type=Type.OK))
    return kept


def _answered(history: Sequence[Operation]) -> list[Operation]:
    return [operation for operation in history[:-1] if operation.type is not Type.INFO]


def _is_open(operation: Operation, f: str) -> bool:
    return operation.f == f and operation.type is Type.INFO and "key" not in operation.value


def _content(operation: Operation) -> tuple[object, object]:
    return operation.value["patient"], operation.value.get("slot")
