"""Family values and shapes: what is refused when a value is made, and the names in JSON."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.families.shapes import FamilyDetails, Stamp, UserSummary
from scheduler.families.values import MAX_PHONE_LENGTH, MAX_POSTCODE_LENGTH, FamilyStatus, Person, PostalAddress
from scheduler.models.registry import table_of

FAMILY, SARAH = UUID(int=1), UUID(int=2)
STAMP = Stamp(at=datetime(2027, 3, 1, 9, tzinfo=UTC))


def test_a_person_is_read_as_people_type() -> None:
    typed = Person(" Sarah Johnson ", email=" Sarah@Example.org", phone=" 555-0101 ")
    assert typed == Person("Sarah Johnson", email="sarah@example.org", phone="555-0101")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": " "}, "person: name must not be blank"),
        ({"name": None}, "person: name must be a text, not None"),
        ({"name": "Ann\0"}, "person: name must not have a NUL"),
        ({"name": "Ann", "email": "nobody"}, "person: email must be an e-mail address"),
        ({"name": "Ann", "phone": "5" * 51}, "person: phone must have at most 50 characters"),
        ({"name": "Ann", "is_primary_contact": "no"}, "person: is_primary_contact must be True or False, not str"),
        ({"name": "Ann", "is_emergency_contact": 1}, "person: is_emergency_contact must be True or False, not int"),
    ],
)
def test_an_invalid_person_is_refused_by_the_name_of_the_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        Person(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"line_1": ""}, "address: line_1 must not be blank"),
        ({"line_1": "1 High Street", "city": " "}, "address: city must not be blank"),
        ({"line_1": "1 High Street", "country": "GBR"}, "address: country must be the two letters of a country"),
        ({"line_1": "1 High Street", "postcode": "1" * 21}, "address: postcode must have at most 20 characters"),
    ],
)
def test_an_invalid_address_is_refused_by_the_name_of_the_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        PostalAddress(**fields)


def test_the_longest_texts_are_those_of_the_columns() -> None:
    assert table_of(models.User).c.phone.type.length == MAX_PHONE_LENGTH  # type: ignore[attr-defined]
    assert table_of(models.Address).c.postcode.type.length == MAX_POSTCODE_LENGTH  # type: ignore[attr-defined]


def test_values_are_read_from_json_in_camel_case() -> None:
    person = TypeAdapter(Person).validate_json('{"name": "Ann", "isPrimaryContact": true}')
    assert person == Person("Ann", is_primary_contact=True)
    address = TypeAdapter(PostalAddress).validate_json('{"line1": "1 High Street", "country": "gb"}')
    assert address == PostalAddress("1 High Street", country="GB")
    for unfit in ('{"name": " "}', '{"name": "Ann", "isContact": true}'):
        with pytest.raises(ValidationError):
            TypeAdapter(Person).validate_json(unfit)


def test_a_family_has_the_names_of_its_document_in_json() -> None:
    sarah = UserSummary(
        user_id=SARAH, email="sarah@example.org", name="Sarah Johnson", role=models.UserRole.PARENT, status="active",
        phone=None, family_ids=(FAMILY,), is_primary_contact=True, is_emergency_contact=False, created=STAMP,
        modified=STAMP,
    )  # fmt: skip
    family = FamilyDetails(
        family_id=FAMILY, family_name="Johnson family", parent_ids=(SARAH,), student_ids=(), parents=(sarah,),
        students=(), address=PostalAddress("1 High Street"), preferred_programs=("choir",),
        status=FamilyStatus.ACTIVE, soft_delete=False, created=STAMP, modified=STAMP,
    )  # fmt: skip
    written = {"at": "2027-03-01T09:00:00Z", "by": None}
    assert family.model_dump(mode="json") == {
        "familyId": str(FAMILY),
        "familyName": "Johnson family",
        "parentIds": [str(SARAH)],
        "studentIds": [],
        "address": {
            "line1": "1 High Street", "line2": None, "city": None, "region": None, "postcode": None, "country": None,
        },
        "preferredPrograms": ["choir"],
        "status": "active",
        "softDelete": False,
        "created": written,
        "modified": written,
        "parents": [
            {
                "userId": str(SARAH),
                "email": "sarah@example.org",
                "name": "Sarah Johnson",
                "role": "parent",
                "status": "active",
                "phone": None,
                "familyIds": [str(FAMILY)],
                "isPrimaryContact": True,
                "isEmergencyContact": False,
                "created": written,
                "modified": written,
            }
        ],
        "students": [],
    }  # fmt: skip
