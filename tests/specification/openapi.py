"""Generator of the OpenAPI document of `examples/families_api.py`, run by `make openapi`."""

import json
from pathlib import Path
from typing import Any

from examples.families_api import ANSWERS, router
from fastapi import FastAPI

FILE = Path(__file__).parents[2] / "examples" / "families_openapi.json"


def application(**settings: Any) -> FastAPI:
    """Return an application that has the endpoints of families alone."""
    app = FastAPI(title="Families and users", version="1", exception_handlers=ANSWERS, **settings)
    app.include_router(router)
    return app


def document() -> str:
    """Return the OpenAPI document as the text of its file."""
    return json.dumps(application().openapi(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
