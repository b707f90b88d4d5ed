"""The scheduler of the application, for its endpoints.

Each endpoint opens its unit of work itself, so that an answer is sent after the commit.
"""

from typing import Annotated

from fastapi import Depends, Request

from scheduler import AsyncScheduler


def scheduler_of(request: Request) -> AsyncScheduler:
    """Return the scheduler of the application."""
    scheduler: AsyncScheduler = request.app.state.scheduler
    return scheduler


Clinics = Annotated[AsyncScheduler, Depends(scheduler_of)]
