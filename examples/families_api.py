"""Endpoints of families and users for FastAPI. Row security decides what the user of the session sees and may write.

An application includes `router`, passes `ANSWERS` as its exception handlers, and sets `app.state.scheduler`. A session,
as Starlette's `SessionMiddleware` has it, names the tenant and the user; otherwise override `signed_in`. A row that the
user does not see is answered by 404, and a change of a row that the user may only read by 403.
"""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Annotated, Any, Final, NotRequired
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, with_config
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict  # Python 3.11 has one that Pydantic refuses

import scheduler
from scheduler import AsyncWork, FamilyId, FamilyStatus, LastParentError, MemberRole, Person, UserId, UserSummary

STATUS: Final[Mapping[int, tuple[type[Exception], ...]]] = {  # all others stay 500: they are faults of this program
    403: (scheduler.NotAllowedError, scheduler.TenantSuspendedError),
    404: (scheduler.NotFoundError,),
    409: (scheduler.DuplicateError, scheduler.DuplicateMemberError, LastParentError, scheduler.MissingReferenceError),
    422: (RequestValidationError, scheduler.InvalidInputError, scheduler.CheckFailedError),
    503: (scheduler.BusyError, scheduler.DatabaseUnreachableError, scheduler.DeadlockError),
}
Session = tuple[str, UserId]  # a tenant, and the user who asks


class Refusal(BaseModel):
    """Reason why a request was refused."""

    detail: str


@with_config(alias_generator=to_camel, extra="forbid")
class NewFamily(TypedDict):
    """A family to create. A member is the id of a user, or a person who is found by e-mail address or added."""

    name: Annotated[str, Field(alias="familyName")]
    parents: list[UserId | Person]
    students: NotRequired[list[UserId | Person]]
    address: NotRequired[scheduler.PostalAddress | None]
    preferred_programs: NotRequired[list[str]]


@with_config(alias_generator=to_camel, extra="forbid")
class FamilyChanges(TypedDict, total=False):
    """The fields of a family to change. A list of members replaces the list."""

    name: Annotated[str, Field(alias="familyName")]
    parents: list[UserId | Person]
    students: list[UserId | Person]
    address: scheduler.PostalAddress | None
    preferred_programs: list[str]
    status: FamilyStatus


class Membership(BaseModel, alias_generator=to_camel, extra="forbid"):
    """The place of a user in a family."""

    role: MemberRole
    is_primary_contact: bool = False
    is_emergency_contact: bool = False


def signed_in(request: Request) -> Session:
    """Return the tenant and the user of the session."""
    if "user" not in (session := request.scope.get("session", {})):
        raise HTTPException(401, "sign in first")
    return session["tenant"], UserId(UUID(session["user"]))


async def unit_of_work(request: Request, session: Annotated[Session, Depends(signed_in)]) -> AsyncIterator[AsyncWork]:
    """Open a transaction for the user of the session."""
    async with request.app.state.scheduler.tenant(session[0], user=session[1]) as work:
        yield work


async def refuse(status: int, _: Request, error: Exception) -> JSONResponse:
    """Answer an error. Messages of the library hold no personal data, but those of a fault name the database."""
    detail = str(error) if status < 500 else "try again later"  # noqa: PLR2004  # faults of the server
    if isinstance(error, RequestValidationError):
        detail = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return JSONResponse({"detail": detail}, status)


Work = Annotated[AsyncWork, Depends(unit_of_work, scope="function")]  # so that the commit comes before the answer
OfFamily = Annotated[FamilyId, Path(alias="familyId")]
OfUser = Annotated[UserId, Path(alias="userId")]
ClearMembers = Annotated[bool, Query(alias="clearMembers")]
ANSWERS: Final[dict[int | type[Exception], Any]] = {
    error: partial(refuse, status) for status, errors in STATUS.items() for error in errors
}
READS: Final[dict[int | str, Any]] = {status: {"model": Refusal} for status in (401, 403, 404, 422, 503)}
WRITES: Final[dict[int | str, Any]] = {status: {"model": Refusal} for status in (400, 409)}
router = APIRouter(responses=READS, generate_unique_id_function=lambda route: route.name)


@router.get("/family/{familyId}")
async def get_family(work: Work, family: OfFamily) -> scheduler.FamilyDetails:
    """Return a family with its members."""
    return await work.families.get(family)


@router.post("/family", status_code=201, responses=WRITES)
async def create_family(work: Work, new: NewFamily) -> scheduler.FamilyDetails:
    """Create a family, and users for the people who are not users yet."""
    return await work.families.create(**new)


@router.patch("/family/{familyId}", responses=WRITES)
async def change_family(work: Work, family: OfFamily, changes: FamilyChanges) -> scheduler.FamilyDetails:
    """Change the given fields of a family."""
    return await work.families.update(family, **changes)


@router.delete("/family/{familyId}", responses=WRITES)
async def delete_family(work: Work, family: OfFamily, *, clear: ClearMembers = False) -> scheduler.FamilySummary:
    """Delete a family softly, and its memberships only if asked to."""
    return await work.families.delete(family, clear_members=clear)


@router.get("/user/{userId}")
async def get_user(work: Work, user: OfUser, *, families: bool = False) -> scheduler.UserDetails | UserSummary:
    """Return a user with the ids of the families, or with the families if asked to."""
    return await (work.users.details(user) if families else work.users.get(user))


@router.get("/user/{userId}/families")
async def get_families_of_user(work: Work, user: OfUser) -> list[scheduler.FamilySummary]:
    """Return the families of a user."""
    return await work.users.families(user)


@router.post("/user/{userId}/family/{familyId}", status_code=204, responses=WRITES)
async def add_member(work: Work, user: OfUser, family: OfFamily, membership: Membership) -> None:
    """Add a user to a family."""
    await work.families.add_member(family, user, **membership.model_dump())


@router.delete("/user/{userId}/family/{familyId}", status_code=204, responses=WRITES)
async def remove_member(work: Work, user: OfUser, family: OfFamily) -> None:
    """Remove a user from a family, unless it is the last parent."""
    await work.families.remove_member(family, user)
