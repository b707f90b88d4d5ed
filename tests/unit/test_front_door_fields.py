"""Fields of the front door: how each kind of argument is read, and that the repositories offer the same operations."""

import inspect
import typing
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from scheduler import models
from scheduler.core import readers
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, FacilityId, read_id
from scheduler.core.schedules import ExceptionType
from scheduler.families.values import FamilyStatus, MemberRole
from scheduler.front_door import fields
from scheduler.front_door.caps import Caps
from scheduler.front_door.closures import Closures
from scheduler.front_door.exceptions import Exceptions
from scheduler.front_door.insurance import Insurance, Plans, Providers
from scheduler.front_door.offerings import Visibility
from scheduler.front_door.repository import Repository, fit
from scheduler.front_door.services import CodeSystem
from scheduler.front_door.work import Work
from scheduler.models import UserStatus
from scheduler.models.registry import table_of
from scheduler.postgres.schema import snapshot
from specification.page import SCHEMA_TEXT

AnyRepository = type[Repository[typing.Any, typing.Any, typing.Any]]

# What a repository has besides its fields, with the reason.
BESIDES = {
    "at": "the posts of a doctor are rows of their own",
    "steps": "the steps of a workflow are rows of their own",
    "who": "a rule stays with its doctor",
    "on": "a rule stays with its weekday",
}


def module(repository: AnyRepository) -> dict[str, typing.Any]:
    return vars(inspect.getmodule(repository))


def repositories() -> list[AnyRepository]:
    """Return the repositories that a unit of work offers."""
    modules = {name: value for name, value in vars(inspect.getmodule(Work)).items() if inspect.isclass(value)}
    found = [kind for kind in modules.values() if issubclass(kind, Repository)]
    return sorted({*found, Providers, Plans}, key=lambda kind: kind.__name__)


CHANGED = [
    kind for kind in repositories() if kind not in {Caps, Closures, Exceptions}
]  # which are removed, or set anew


def changeable(repository: AnyRepository) -> set[str]:
    """Return the fields that `change` takes, by its types."""
    (parameter,) = [
        parameter
        for parameter in inspect.signature(repository.change).parameters.values()  # type: ignore[attr-defined]
        if parameter.kind is inspect.Parameter.VAR_KEYWORD
    ]
    (typed,) = typing.get_args(parameter.annotation)
    return set(typing.get_type_hints(typed, globalns=module(repository)))


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (readers.text, " Main Street ", "Main Street"),
        (readers.email, " Ada@Example.org", "ada@example.org"),
        (readers.flag, False, False),
        (readers.uuid, UUID(int=1), UUID(int=1)),
        (readers.day, date(2027, 3, 1), date(2027, 3, 1)),
        (fields.zone, ZoneInfo("Europe/London"), "Europe/London"),
        (fields.zone, "Asia/Kolkata", "Asia/Kolkata"),
        (readers.country, "gb", "GB"),
        (fields.minutes, timedelta(hours=1), 60),
        (fields.buffer_minutes, timedelta(0), 0),
        (fields.buffer_minutes, timedelta(days=7), 10_080),
        (fields.resource_kind, "x_ray2", "x_ray2"),
        (fields.word(Visibility), Visibility.PRIVATE, "private"),
        (fields.word(Visibility), "private", "private"),
        (readers.optional(readers.text), None, None),
        (fields.reference(FacilityId, models.Facility), FacilityId(7), 7),
        (fields.reference(FacilityId, models.Facility), models.Facility(id=7), 7),
    ],
)
def test_a_field_reads(read: readers.Reader, value: object, expected: object) -> None:
    assert (read("patient: field", value), type(read("patient: field", value))) == (expected, type(expected))


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((readers.text, value) for value in ("", " \t", None, 7, b"Ada", "a\0b", "a\ud800")),
        *((readers.flag, value) for value in (0, "false", None)),
        *((readers.day, value) for value in (datetime(2027, 3, 1), "2027-03-01", None)),
        *((readers.email, value) for value in ("ada", "ada@", "ad\u00e1@example.org", " ", 7, None)),
        *((readers.uuid, value) for value in (str(UUID(int=1)), 7, None)),
        *((fields.zone, value) for value in ("Mars/Base", "../etc", 1, None)),
        *((readers.country, value) for value in ("GBR", "g1", "", None)),
        *((fields.minutes, value) for value in (timedelta(0), timedelta(seconds=90), -timedelta(1), 20, None)),
        *(
            (fields.buffer_minutes, value)
            for value in (timedelta(seconds=30), -timedelta(1), timedelta(days=7, minutes=1), 0, None)
        ),
        *((fields.resource_kind, value) for value in ("Room", "room 1", "1st", "doctor", "patient", "", None)),
        *((fields.word(Visibility), value) for value in ("hidden", CodeSystem.CPT, 1, None)),
        *((fields.reference(FacilityId, models.Facility), value) for value in (DoctorId(7), True, "7", 2**63, None)),
        (fields.reference(FacilityId, models.Facility), models.Doctor(id=7)),
        (fields.reference(FacilityId, models.Facility), models.Facility()),
    ],
)
def test_a_field_names_itself_when_it_refuses(read: readers.Reader, value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^patient: field"):
        read("patient: field", value)


@pytest.mark.parametrize(("kind", "noun"), [(UserStatus, "a user status"), (ExceptionType, "an exception type")])
def test_a_refused_word_has_the_article_of_its_kind(kind: type[StrEnum], noun: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^field: 'gone' is not {noun} \("):
        fields.word(kind)("field", "gone")


@pytest.mark.parametrize("read", [readers.text, readers.day, readers.uuid, readers.flag, readers.country])
def test_a_refusal_shows_no_value(read: readers.Reader) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read("patient: field", "Ada\0Poe" if read is readers.text else "Ada Poe")
    assert "Ada" not in str(refused.value)


@pytest.mark.parametrize(("column", "value"), [("plan_code", "x" * 101), ("name", "x" * 256)])
def test_a_text_longer_than_its_column_is_refused(column: str, value: str) -> None:
    fit("plan: field", models.InsurancePlan, column, value[:-1])
    with pytest.raises(InvalidInputError, match=f"^plan: field must have at most {len(value) - 1} characters$"):
        fit("plan: field", models.InsurancePlan, column, value)


def test_a_number_larger_than_its_column_is_refused() -> None:
    fit("service: duration", models.Service, "default_duration_minutes", 2**31 - 1)
    with pytest.raises(InvalidInputError, match=r"^service: duration is too large"):
        fit("service: duration", models.Service, "default_duration_minutes", 2**31)


def test_an_id_of_another_kind_is_refused() -> None:
    assert read_id("rule: who", 7, DoctorId) == DoctorId(7)
    with pytest.raises(
        InvalidInputError, match=r"^rule: who must be of type DoctorId, not a value of type FacilityId$"
    ):
        read_id("rule: who", FacilityId(7), DoctorId)


@pytest.mark.parametrize("repository", repositories())
def test_a_repository_reads_its_rows_and_says_how_they_end(repository: AnyRepository) -> None:
    assert {"get", "all"} <= set(dir(repository))
    ends = {"delete", "remove"} & set(dir(repository))
    assert ends or "None is deleted" in (repository.__doc__ or "")
    assert ("delete" in ends and "active" in repository._fields) or not repository._is_switched


@pytest.mark.parametrize("repository", repositories())
def test_a_row_is_named_by_its_id_and_all_that_has_it(repository: AnyRepository) -> None:
    (base,) = repository.__orig_bases__  # type: ignore[attr-defined]
    model, id_, which = typing.get_args(base)
    assert (model, id_) == (repository._model, repository._id)
    assert set(typing.get_args(which)) == {model, id_, *repository._owners}


@pytest.mark.parametrize("repository", CHANGED)
def test_change_takes_the_fields_that_add_takes(repository: AnyRepository) -> None:
    added = list(inspect.signature(repository.add).parameters)[1:]  # type: ignore[attr-defined]
    fixed = {name for name, field in repository._fields.items() if field.fixed}
    assert {name for name in added if name not in changeable(repository) | fixed} <= set(BESIDES)
    assert changeable(repository) - set(BESIDES) == set(repository._fields) - fixed


@pytest.mark.parametrize("repository", repositories())
def test_a_field_is_written_to_a_column_of_its_table(repository: AnyRepository) -> None:
    assert repository._fields
    assert {field.column for field in repository._fields.values()} <= set(table_of(repository._model).c.keys())


@pytest.mark.parametrize(
    ("enum", "constraint"),
    [
        (Visibility, "scheduling.service_offerings.an_offering_is_public_or_private"),
        (CodeSystem, "scheduling.services.a_code_system_is_a_known_one"),
        (FamilyStatus, "identity.families.a_family_is_active_or_inactive"),
        (MemberRole, "identity.family_members.a_member_is_a_parent_or_a_student"),
        (UserStatus, "identity.users.a_user_is_active_inactive_pending_or_suspended"),
    ],
)
def test_an_enum_has_the_words_of_its_check(enum: type[StrEnum], constraint: str) -> None:
    definition = snapshot.parse(SCHEMA_TEXT.read_text(encoding="utf-8"))[f"constraint {constraint}"]
    assert all(f"'{word}'::text" in definition for word in enum)
    assert definition.count("::text") == len(enum)


@pytest.mark.parametrize(("short", "full"), [(Insurance.add_provider, Providers.add), (Insurance.add_plan, Plans.add)])
def test_insurance_adds_as_its_repositories_do(short: Callable[..., object], full: Callable[..., object]) -> None:
    assert inspect.signature(short) == inspect.signature(full)
