"""HTTP status of each error of the library. All others stay 500: they are faults of this program.

An answer to a refused booking also has its facts, such as the reasons and the next start that is offered.
"""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from scheduler import (
    BookingError,
    BusyError,
    CheckFailedError,
    DatabaseUnreachableError,
    DeadlockError,
    DuplicateError,
    InvalidInputError,
    KeyReusedError,
    MissingReferenceError,
    NoSuchNeedError,
    NotFoundError,
    OutcomeUnknownError,
    TransitionRefusedError,
    UnknownHoldError,
)

STATUS: Final[Mapping[type[Exception], int]] = {
    NotFoundError: 404,
    UnknownHoldError: 404,
    BookingError: 409,  # such as a place that is taken, or a hold that has ended
    TransitionRefusedError: 409,
    DuplicateError: 409,
    MissingReferenceError: 409,
    KeyReusedError: 422,
    NoSuchNeedError: 422,
    CheckFailedError: 422,
    InvalidInputError: 422,
    BusyError: 503,
    DatabaseUnreachableError: 503,
    DeadlockError: 503,
    OutcomeUnknownError: 503,  # a repeated request with its key tells
}


def add_error_handlers(app: FastAPI) -> None:
    """Answer the errors of the library. Their messages hold no personal data, so a client may read them."""
    for kind, status in STATUS.items():

        def answer(_: Request, error: Exception, status: int = status) -> JSONResponse:
            facts = vars(error) if isinstance(error, BookingError) else {}
            return JSONResponse(jsonable_encoder({"detail": str(error), **facts}), status)

        app.add_exception_handler(kind, answer)
