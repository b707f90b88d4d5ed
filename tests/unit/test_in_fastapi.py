"""Page "In FastAPI": its claim about dependencies that end after the response."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import pytest
from fastapi import Depends, FastAPI

pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")


async def lost_commit() -> AsyncIterator[None]:
    """Stand for a unit of work whose commit fails."""
    yield
    raise RuntimeError


@pytest.mark.parametrize(("scope", "status"), [(None, 201), ("request", 201), ("function", 500)])
def test_only_scope_function_commits_before_the_response(
    scope: Literal["function", "request"] | None, status: int
) -> None:
    from fastapi.testclient import TestClient  # noqa: PLC0415  # its import warns

    app = FastAPI()

    @app.post("/patients", status_code=201)
    async def add_patient(_: Annotated[Any, Depends(lost_commit, scope=scope)]) -> str:
        return "created"

    with TestClient(app, raise_server_exceptions=False) as browser:
        assert browser.post("/patients").status_code == status
