"""Files of families whose members are names: what is read, and the reason why a line is refused."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from scheduler.core.email_address import EmailAddress
from scheduler.core.errors import InvalidInputError
from scheduler.core.json_lines import BrokenLinesError, LineError
from scheduler.families.names_file import NamesFile, PersonKey, check_names, name_key, read_names
from scheduler.families.values import FamilyStatus, PostalAddress
from support.documents import blocks

PAGE = Path(__file__).parents[2] / "docs" / "families-from-names.md"
ANN = "11111111-1111-4111-8111-111111111111"
PLAIN: dict[str, Any] = {
    "familyId": "family_xyz789",
    "familyName": "Johnson Family",
    "parents": ["Sarah Johnson"],
    "students": ["Emma Johnson"],
}


def read(folder: Path, *lines: Any) -> NamesFile:
    path = folder / "families.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return read_names(path)


def faults_of(folder: Path, *lines: Any) -> list[tuple[int, str]]:
    return [(fault.line, fault.reason) for fault in read(folder, *lines).faults]


def test_a_line_of_the_document_is_a_family(tmp_path: Path) -> None:
    line = PLAIN | {
        "parents": ["Sarah Johnson", {"name": "Bo Lang", "userId": ANN}, {"name": "Cy", "email": " Cy@Example.org"}],
        "students": ["Emma Johnson", {"name": "Dee", "person": "dee-1"}, {"name": "Eve"}],
        "address": {"line1": "1 High Street", "city": "Wells", "country": "GB"},
        "preferredPrograms": ["choir", "art"],
        "status": "inactive",
        "softDelete": False,
        "created": {"at": "2025-09-17T10:00:00Z"},
        "modified": None,
    }
    (family,) = read(tmp_path, line).families
    assert (family.line, family.source_id, family.name) == (1, "family_xyz789", "Johnson Family")
    assert [(member.name, member.role.value, member.identity) for member in family.members] == [
        ("Sarah Johnson", "parent", None),
        ("Bo Lang", "parent", UUID(ANN)),
        ("Cy", "parent", EmailAddress("cy@example.org")),
        ("Emma Johnson", "student", None),
        ("Dee", "student", PersonKey("dee-1")),
        ("Eve", "student", None),
    ]
    assert family.address == PostalAddress("1 High Street", city="Wells", country="GB")
    assert (family.preferred_programs, family.status) == (("choir", "art"), FamilyStatus.INACTIVE)


def test_a_deleted_family_is_counted_and_its_fields_are_not_read(tmp_path: Path) -> None:
    file = read(tmp_path, PLAIN, {"familyId": "gone", "softDelete": True, "parents": []})
    assert ([family.source_id for family in file.families], file.deleted, file.faults) == (["family_xyz789"], 1, ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"familyId": None}, "familyId must be a text, not None"),
        ({"familyName": " "}, "familyName must not be blank"),
        ({"parents": None}, "parents must have at least one parent"),
        ({"parents": []}, "parents must have at least one parent"),
        ({"parents": "Sarah Johnson"}, "parents must be a list"),
        ({"parents": [7]}, "parents: number 1 must be a text, not int"),
        ({"students": ["Emma", " "]}, "students: number 2 must not be blank"),
        ({"students": [{"email": "emma@example.org"}]}, "students: number 1: name must be a text, not None"),
        (
            {"parents": ["Sarah", " SARAH "]},
            "parents: number 2 is the same person as parents: number 1: give each a person if they are two",
        ),
        (
            {"students": [{"name": "Sarah", "person": "s"}], "parents": [{"name": "Sarah", "person": "s"}]},
            "students: number 1 is the same person as parents: number 1",
        ),
        ({"parents": [{"name": "A", "userId": "7"}]}, "parents: number 1: userId must be a UUID"),
        ({"parents": [{"name": "A", "email": "a"}]}, "parents: number 1: email must be an e-mail address"),
        ({"parents": [{"name": "A", "person": ""}]}, "parents: number 1: person must not be blank"),
        (
            {"parents": [{"name": "A", "person": "a", "userId": ANN}]},
            "parents: number 1: give one of userId, email and person",
        ),
        ({"parents": [{"name": "A", "role": "parent"}]}, "parents: number 1: unknown field 'role'"),
        ({"status": "gone"}, "status must be one of active, inactive, not 'gone'"),
        ({"status": []}, "status must be one of active, inactive, not a list"),
        ({"softDelete": "false"}, "softDelete must be true or false, not 'false'"),
        ({"address": "1 High Street"}, "address: expected a JSON object"),
        ({"address": {"city": "Wells"}}, "address: line_1 must be a text, not None"),
        ({"address": {"line1": "1 High Street", "street": "High Street"}}, "address: unknown field 'street'"),
        ({"preferredPrograms": "choir"}, "preferredPrograms must be a list"),
        ({"preferredPrograms": [""]}, "preferredPrograms must not be blank"),
        ({"parentIds": []}, "unknown field 'parentIds'"),
    ],
)
def test_a_broken_line_is_an_error_with_its_number(change: Any, reason: str, tmp_path: Path) -> None:
    ((line, given),) = faults_of(tmp_path, PLAIN | {"familyId": "good"}, PLAIN | change)
    assert line == 2
    assert reason in given


def test_a_file_cut_in_half_is_an_error_of_its_last_line(tmp_path: Path) -> None:
    line = json.dumps(PLAIN).encode()
    file = read(tmp_path, line, line.replace(b"xyz", b"abc")[:60])
    assert [fault.line for fault in file.faults] == [2]
    assert file.faults[0].reason.startswith("the line is not JSON")


def test_a_family_id_twice_is_an_error_also_of_a_deleted_family(tmp_path: Path) -> None:
    assert faults_of(tmp_path, PLAIN | {"softDelete": True}, PLAIN) == [
        (2, "familyId 'family_xyz789' is also that of line 1")
    ]


def test_a_person_with_two_names_is_an_error_without_the_names(tmp_path: Path) -> None:
    families = [
        PLAIN | {"familyId": name, "parents": [{"name": name, "person": "p"}]} for name in ("Ann Lee", "ANN  LEE", "Bo")
    ]
    assert faults_of(tmp_path, *families) == [(3, "parents: number 1: this person has another name on line 1")]


@pytest.mark.parametrize(
    "line",
    [
        "Sarah Johnson",
        PLAIN | {"parents": "Sarah Johnson"},
        PLAIN | {"parents": ["Sarah Johnson\0"]},
        PLAIN | {"parents": [["Sarah Johnson"]]},
        PLAIN | {"parents": ["A", {"name": "Sarah Johnson", "email": "Sarah Johnson"}]},
        PLAIN | {"parents": ["A", {"name": "Sarah Johnson", "person": "Sarah Johnson", "userId": "Sarah Johnson"}]},
        PLAIN | {"students": "Sarah Johnson"},
        PLAIN | {"address": "Sarah Johnson"},
        PLAIN | {"address": {"line1": "Sarah Johnson", "country": "Sarah Johnson"}},
        PLAIN | {"preferredPrograms": "Sarah Johnson"},
    ],
)
def test_no_reason_of_a_broken_line_shows_a_name(line: Any, tmp_path: Path) -> None:
    ((_, reason),) = faults_of(tmp_path, line)
    assert "Sarah" not in reason


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Sarah Johnson", " sarah\t JOHNSON"),
        ("Zo\u00eb", "zoe\u0308"),
        ("Gro\u00df", "GROSS"),
        ("\uff21nn", "ann"),
        ("Ann\u00a0Lee", "Ann Lee"),
        ("\u039c\u03b1\u0390\u03bf\u03c5", "\u039c\u03b1\u0390\u03bf\u03c5".upper()),
    ],
)
def test_spellings_of_one_name_have_one_key(name: str, other: str) -> None:
    assert name_key(name) == name_key(other)


@pytest.mark.parametrize("other", ["Sara Johnson", "SarahJohnson", "Sarah Johns\u00f6n", "Johnson Sarah"])
def test_other_names_have_other_keys(other: str) -> None:
    assert name_key("Sarah Johnson") != name_key(other)


def test_a_file_is_refused_with_all_its_broken_lines(tmp_path: Path) -> None:
    file = read(tmp_path, b"{", PLAIN, b"[]")
    with pytest.raises(BrokenLinesError, match="2 lines are broken, first line 1") as refused:
        check_names(file)
    assert [fault.line for fault in refused.value.faults] == [1, 3]
    assert refused.value.faults[1] == LineError(3, "expected a JSON object, not a list")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no family in the file"):
        check_names(read(tmp_path, b""))
    check_names(read(tmp_path, PLAIN | {"softDelete": True}))


def test_the_examples_of_the_page_are_read_as_written(tmp_path: Path) -> None:
    file = read(tmp_path, *(line.encode() for block in blocks(PAGE, "json") for line in block.splitlines()))
    assert (len(file.families), file.faults) == (5, ())
    johns = [member.identity for family in file.families for member in family.members if member.name == "John Smith"]
    assert johns == [PersonKey("john-the-elder"), PersonKey("john-the-younger"), PersonKey("john-the-elder")]
