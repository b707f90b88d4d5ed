"""HTTP status of each error of the library. All others stay 500: they are faults of this program."""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from scheduler import (
    BusyError,
    CheckFailedError,
    DatabaseUnreachableError,
    DeadlockError,
    DuplicateError,
    InvalidInputError,
    MissingReferenceError,
    NotFoundError,
)

STATUS: Final[Mapping[type[Exception], int]] = {
    NotFoundError: 404,
    DuplicateError: 409,
    MissingReferenceError: 409,
    CheckFailedError: 422,
    InvalidInputError: 422,
    BusyError: 503,
    DatabaseUnreachableError: 503,
    DeadlockError: 503,
}


def add_error_handlers(app: FastAPI) -> None:
    """Answer the errors of the library. Their messages hold no personal data, so a client may read them."""
    for kind, status in STATUS.items():

        def answer(_: Request, error: Exception, status: int = status) -> JSONResponse:
            return JSONResponse({"detail": str(error)}, status)

        app.add_exception_handler(kind, answer)
