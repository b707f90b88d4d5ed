"""Example `examples/families_api.py`: its endpoints as staff and as a parent, its OpenAPI file, and drawn requests.

The application runs in this process, on the event loop of schemathesis. Headers stand for the session of the user.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import psycopg
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import core, given, settings
from hypothesis import strategies as st
from hypothesis.vendor import pretty
from schemathesis.checks import not_a_server_error
from schemathesis.generation.hypothesis import setup
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from scheduler import AsyncScheduler, AsyncWork, BusyError, FamilyDetails, Person, Scheduler, UserId
from specification.openapi import FILE, application, document
from support.databases import employ, execute
from support.documents import ROOT

pytestmark = pytest.mark.database

TENANT, USER = "x-test-tenant", "x-test-user"
OPERATIONS: Final = [
    (method.upper(), path)
    for path, methods in json.loads(FILE.read_text(encoding="utf-8"))["paths"].items()
    for method in methods
]
FITS_THE_SCHEMA: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BODIES: Final[dict[str, Any]] = {
    "POST /family": {"familyName": "Own", "parents": [{"name": "Eve", "email": "eve@example.org"}]},
    "PATCH /family/{familyId}": {"address": {"line1": "2 High Street"}, "status": "inactive"},
    "POST /user/{userId}/family/{familyId}": {"role": "student"},
}


class World:
    """A tenant with two families, which share nobody."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.slug = "riverside"
        with Scheduler(url) as clinic:
            self.staff = employ(url, clinic.add_tenant(self.slug, name="Riverside"))
            with clinic.tenant(self.slug, user=UserId(self.staff)) as work:
                sarah, ada = (Person(name, email=f"{name}@example.org") for name in ("sarah", "ada"))
                self.family: FamilyDetails = work.families.create("Johnson", parents=[sarah], students=[Person("Tim")])
                self.other_family: FamilyDetails = work.families.create("Poe", parents=[ada])
        (self.parent,), (self.child,) = self.family.parent_ids, self.family.student_ids
        (self.stranger,) = self.other_family.parent_ids


class Ask(Protocol):
    """Sends a request as a user, and returns the status and the content of the answer."""

    def __call__(self, user: UUID | None, method: str, path: str, body: Any = None, *, tenant: str = ...) -> Any: ...


class _UndoneError(Exception):
    """The request has come to its end."""


class UndoingScheduler(AsyncScheduler):
    """A scheduler whose units of work roll back, so that every drawn request meets the same rows."""

    @asynccontextmanager
    async def tenant(self, *args: Any, **kwargs: Any) -> AsyncIterator[AsyncWork]:
        with suppress(_UndoneError):
            async with super().tenant(*args, **kwargs) as work:
                yield work
                raise _UndoneError


class FailingScheduler(AsyncScheduler):
    """A scheduler whose units of work fail when they commit."""

    @asynccontextmanager
    async def tenant(self, *args: Any, **kwargs: Any) -> AsyncIterator[AsyncWork]:
        async with super().tenant(*args, **kwargs) as work:
            yield work
            raise BusyError("a lock of the database was not free")


def served(world: World, scheduler: type[AsyncScheduler]) -> Any:
    """Return the application, with the sessions that the headers of a request name."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with scheduler(world.url) as app.state.scheduler:
            yield

    app = application(lifespan=lifespan)

    async def with_session(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(raw=scope.get("headers", []))
        names = {"tenant": TENANT, "user": USER}
        if session := {key: headers[name] for key, name in names.items() if name in headers}:
            scope["session"] = {"tenant": world.slug} | session
        await app(scope, receive, send)

    return with_session


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    yield World(database_url)
    asgi.shutdown_lifespans()


@pytest.fixture(scope="module")
def ask(world: World) -> Iterator[Ask]:
    with asgi.get_client(served(world, AsyncScheduler)) as client:

        def send(user: UUID | None, method: str, path: str, body: Any = None, *, tenant: str = world.slug) -> Any:
            names = {TENANT: tenant, USER: str(user or "")}
            headers = {name: value for name, value in names.items() if value}
            answer = client.request(method, path, json=body, headers=headers)
            return answer.status_code, answer.json() if answer.content else None

        yield send


@pytest.fixture
def family(ask: Ask, world: World) -> dict[str, Any]:
    """A family that one test alone changes: the parent of the world, another parent, and a student."""
    body = {
        "familyName": "Brown",
        "parents": [str(world.parent), {"name": "Ben Brown", "email": f"{uuid4()}@example.org"}],
        "students": [{"name": "Mia Brown", "isEmergencyContact": True}],
        "address": {"line1": "1 High Street", "country": "GB"},
        "preferredPrograms": ["chess"],
    }
    status, created = ask(world.staff, "POST", "/family", body)
    assert status == 201, created
    made: dict[str, Any] = created
    return made


def test_a_family_is_created_and_read_from_both_sides(ask: Ask, world: World, family: dict[str, Any]) -> None:
    assert [user["name"] for user in family["parents"] + family["students"]] == ["sarah", "Ben Brown", "Mia Brown"]
    assert [user["userId"] for user in family["parents"]] == family["parentIds"]
    assert (family["students"][0]["isEmergencyContact"], family["address"]["line1"]) == (True, "1 High Street")
    assert (family["status"], family["softDelete"], family["created"]["by"]) == ("active", False, str(world.staff))
    assert ask(world.staff, "GET", f"/family/{family['familyId']}") == (200, family)
    (student,) = family["studentIds"]
    summary = {field: value for field, value in family.items() if field not in {"parents", "students"}}
    status, user = ask(world.staff, "GET", f"/user/{student}")
    assert (status, user) == (200, family["students"][0])
    assert user["familyIds"] == [family["familyId"]]
    assert ask(world.staff, "GET", f"/user/{student}?families=true") == (200, user | {"families": [summary]})
    assert ask(world.staff, "GET", f"/user/{student}/families") == (200, [summary])


def test_a_patch_changes_the_given_fields_alone(ask: Ask, world: World, family: dict[str, Any]) -> None:
    path = f"/family/{family['familyId']}"
    assert ask(world.staff, "PATCH", path, {})[1] | {"modified": 0} == family | {"modified": 0}
    status, changed = ask(world.staff, "PATCH", path, {"familyName": "Green", "address": None, "students": []})
    assert (status, changed["familyName"], changed["address"], changed["studentIds"]) == (200, "Green", None, [])
    kept = ("parentIds", "preferredPrograms", "status", "created")
    assert [changed[field] for field in kept] == [family[field] for field in kept]
    assert ask(world.staff, "PATCH", path, {"status": "inactive"})[1]["status"] == "inactive"
    assert ask(world.staff, "PATCH", path, {"familyname": "Misspelt"})[0] == 422


def test_a_member_joins_once_and_the_last_parent_stays(ask: Ask, world: World, family: dict[str, Any]) -> None:
    member = f"/user/{world.stranger}/family/{family['familyId']}"
    assert ask(world.staff, "POST", member, {"role": "student", "isPrimaryContact": True}) == (204, None)
    assert ask(world.staff, "GET", f"/family/{family['familyId']}")[1]["students"][1]["isPrimaryContact"] is True
    assert ask(world.staff, "POST", member, {"role": "parent"})[0] == 409
    assert ask(world.staff, "DELETE", member) == (204, None)
    assert ask(world.staff, "DELETE", member)[0] == 404
    first, last = (f"/user/{parent}/family/{family['familyId']}" for parent in family["parentIds"])
    assert ask(world.staff, "DELETE", first) == (204, None)
    assert ask(world.staff, "DELETE", last)[0] == 409


@pytest.mark.parametrize(("query", "memberships"), [("", 3), ("?clearMembers=true", 0)])
def test_a_deleted_family_is_no_longer_found(
    ask: Ask, world: World, family: dict[str, Any], query: str, memberships: int
) -> None:
    path = f"/family/{family['familyId']}"
    status, deleted = ask(world.staff, "DELETE", path + query)
    assert (status, deleted["familyId"], deleted["softDelete"]) == (200, family["familyId"], True)
    assert [ask(world.staff, method, path, {})[0] for method in ("GET", "PATCH", "DELETE")] == [404, 404, 404]
    assert ask(world.staff, "GET", f"/user/{family['studentIds'][0]}/families") == (200, [])
    with psycopg.connect(world.url) as connection:
        of_family = "select count(*) from identity.family_members where family_id = %s"
        assert connection.execute(of_family, (family["familyId"],)).fetchone() == (memberships,)


def test_a_parent_sees_the_own_families_alone(ask: Ask, world: World) -> None:
    seen = ["/family/{family.family_id}", "/user/{parent}", "/user/{child}?families=true", "/user/{child}/families"]
    own = [path.format_map(vars(world)) for path in seen]
    assert [ask(world.parent, "GET", path)[0] for path in own] == [200] * 4
    of_others = {"family": world.other_family, "parent": world.stranger, "child": world.stranger}
    hidden = [path.format_map(of_others) for path in seen]
    assert [ask(world.parent, "GET", path)[0] for path in hidden] == [404] * 4
    assert [ask(uuid4(), "GET", path)[0] for path in own] == [404] * 4  # a user of no tenant


def writes(world: World, family: FamilyDetails) -> list[tuple[str, str, Any]]:
    """Return a request to each endpoint that writes."""
    return [
        ("PATCH", f"/family/{family.family_id}", {"familyName": "Other"}),
        ("DELETE", f"/family/{family.family_id}?clearMembers=true", None),
        ("POST", f"/user/{world.parent}/family/{family.family_id}", {"role": "parent"}),
        ("DELETE", f"/user/{world.child}/family/{family.family_id}", None),
        ("POST", "/family", {"familyName": "Own", "parents": [str(world.parent)]}),
    ]


def test_a_parent_writes_nothing(ask: Ask, world: World) -> None:
    families = [world.family, world.other_family]
    before = [ask(world.staff, "GET", f"/family/{family.family_id}") for family in families]
    own, others = ([ask(world.parent, *request)[0] for request in writes(world, family)] for family in families)
    assert (own, others) == ([403] * 5, [404, 404, 404, 404, 403])
    assert [ask(world.staff, "GET", f"/family/{family.family_id}") for family in families] == before


def test_a_request_without_a_session_or_a_user_in_it_is_refused(ask: Ask, world: World) -> None:
    for method, path in OPERATIONS:
        filled = path.format(familyId=world.family.family_id, userId=world.parent)
        for tenant in ("", world.slug):
            answer = ask(None, method, filled, {"familyName": "Own", "parents": []}, tenant=tenant)
            assert answer == (401, {"detail": "sign in first"})


def test_a_user_of_a_suspended_tenant_is_refused(ask: Ask, world: World) -> None:
    with Scheduler(world.url) as clinic:
        user = employ(world.url, clinic.add_tenant("hillside", name="Hillside"))
    execute(world.url, "update identity.tenants set status = 'suspended' where slug = 'hillside'")
    assert ask(user, "GET", f"/user/{user}", tenant="hillside")[0] == 403


def test_a_failed_commit_is_no_success(world: World) -> None:
    new = {"familyName": "Own", "parents": [str(world.parent)]}
    with asgi.get_client(served(world, FailingScheduler)) as client:
        answer = client.post("/family", json=new, headers={USER: str(world.staff)})
    assert (answer.status_code, answer.json()) == (503, {"detail": "try again later"})


def test_refusals_of_fastapi_and_of_the_library_have_one_shape(ask: Ask, world: World) -> None:
    own: dict[str, Any] = {"familyName": "Own", "parents": [str(world.parent)]}
    refused: list[tuple[Any, str]] = [
        ({"familyName": "Own"}, "body.parents: Field required"),
        (own | {"status": "active"}, "body.status: Extra inputs are not permitted"),
        (own | {"address": {"line1": " "}}, "body.address: Value error, address: line_1 must not be blank"),
        (own | {"familyName": " "}, "family: name must not be blank"),
        (own | {"familyName": "\0"}, "family: name must not have a NUL or a lone surrogate"),
        (own | {"\ud800": 1}, "body: Input should be a valid string"),
        (own | {"parents": []}, "family: parents must not be empty"),
        (own | {"familyName": "x" * 2_000_000}, "the database refused a statement"),
    ]
    for body, reason in refused:
        status, answer = ask(world.staff, "POST", "/family", body)
        assert (status, set(answer), answer["detail"][: len(reason)]) == (422, {"detail"}, reason)


@pytest.fixture(scope="module", autouse=True)
def untouched_hypothesis() -> Iterator[None]:
    """Keep schemathesis from replacing parts of Hypothesis: properties that fail later would print no example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "_is_patched", True, raising=False)
        yield
    assert vars(core)["RepresentationPrinter"] is pretty.RepresentationPrinter


@pytest.fixture(scope="module")
def api(world: World) -> Any:
    """The endpoints, whose requests leave no trace."""
    return schemathesis.openapi.from_asgi("/openapi.json", served(world, UndoingScheduler))


def existing(operation: Any, world: World) -> dict[str, str]:
    """Return the parameters of the path of an operation, as those of a family and its student."""
    ids = {"familyId": str(world.family.family_id), "userId": str(world.child)}
    return {parameter.name: ids[parameter.name] for parameter in operation.path_parameters}


def with_parent(parent: UUID, case: Any) -> Any:
    """Replace drawn parents, of whom almost none has an e-mail address, by one who exists."""
    if isinstance(case.body, dict) and "parents" in case.body:
        case.body["parents"] = [str(parent)]
    return case


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_success_of_each_endpoint_fits_the_schema(api: Any, world: World, method: str, path: str) -> None:
    operation, label = api[path][method], f"{method} {path}"
    ids = existing(operation, world)
    if label == "POST /user/{userId}/family/{familyId}":  # the student is a member already
        ids["userId"] = str(world.stranger)
    body = {"body": BODIES[label]} if label in BODIES else {}
    case = operation.Case(path_parameters=ids, media_type="application/json", **body)
    answer = case.call_and_validate(headers={USER: str(world.staff)}, checks=FITS_THE_SCHEMA)
    assert answer.status_code in {200, 201, 204}, answer.text


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_drawn_request_is_answered_outside_the_schema(api: Any, world: World, method: str, path: str) -> None:
    operation = api[path][method]
    requests = [
        operation.as_strategy(generation_mode=mode, path_parameters=ids).map(partial(with_parent, parent))
        for mode in schemathesis.GenerationMode
        for ids, parent in (({}, uuid4()), (existing(operation, world), world.parent))
    ]

    @settings(max_examples=settings().max_examples // 2)
    @given(case=st.one_of(requests), user=st.sampled_from([world.staff, world.parent]))
    def fits(case: Any, user: UUID) -> None:
        case.call_and_validate(headers={USER: str(user)}, checks=FITS_THE_SCHEMA)

    fits()


@pytest.mark.deep
def test_chained_requests_fit_the_schema_and_find_nothing_deleted(world: World) -> None:
    api = schemathesis.openapi.from_asgi("/openapi.json", served(world, AsyncScheduler))

    class Requests(api.as_state_machine()):  # type: ignore[misc]  # a class made from the schema
        def before_call(self, case: Any) -> None:
            with_parent(world.stranger, case)

        def get_call_kwargs(self, _: Any) -> dict[str, Any]:
            return {"headers": {USER: str(world.staff)}}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, checks=[*FITS_THE_SCHEMA, use_after_free], recorder=self.recorder)

    Requests.run(settings=settings(max_examples=100, stateful_step_count=8))


def test_the_openapi_file_is_that_of_the_router() -> None:
    assert FILE.read_text(encoding="utf-8") == document(), "regenerate it: make openapi"


def test_the_endpoints_are_those_of_the_document() -> None:
    assert set(OPERATIONS) == {
        ("GET", "/family/{familyId}"),
        ("POST", "/family"),
        ("PATCH", "/family/{familyId}"),
        ("DELETE", "/family/{familyId}"),
        ("GET", "/user/{userId}"),
        ("GET", "/user/{userId}/families"),
        ("POST", "/user/{userId}/family/{familyId}"),
        ("DELETE", "/user/{userId}/family/{familyId}"),
    }


def test_the_example_stays_short() -> None:
    lines = (ROOT / "examples" / "families_api.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
