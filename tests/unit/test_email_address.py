"""E-mail addresses as people type them, and the messages about invalid ones."""

import pytest

from scheduler.core.email_address import EmailAddress
from scheduler.core.errors import InvalidInputError

LONGEST_ADDRESS = f"a@{'b.' * 125}cc"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ann@example.org", "ann@example.org"),
        ("  Ann@EXAMPLE.org\n", "ann@example.org"),
        ("\u00a0ann@example.org", "ann@example.org"),  # a no-break space, as pasted from a page
        ("ann+clinic@example.org", "ann+clinic@example.org"),
        (".!#$%&'*+/=?^_`{|}~-@x", ".!#$%&'*+/=?^_`{|}~-@x"),
        ("ann@localhost", "ann@localhost"),
        ("a@1.2-3.x--y", "a@1.2-3.x--y"),
        (f"{'a' * 64}@x", f"{'a' * 64}@x"),
        (f"a@{'b' * 63}.org", f"a@{'b' * 63}.org"),
        (LONGEST_ADDRESS, LONGEST_ADDRESS),
    ],
)
def test_an_address_is_parsed(text: str, address: str) -> None:
    assert str(EmailAddress.parse(text)) == address


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it has no @"),
        ("nobody", "it has no @"),
        ("a@b@c", "it has more than one @"),
        ("@example.org", "nothing stands before the @"),
        (f"{'a' * 65}@x", "more than 64 characters stand before the @"),
        ("a b@x", "' ' cannot stand before the @"),
        ("a\n@x", r"'\\n' cannot stand before the @"),
        ("Ann <ann@x", "' ' cannot stand before the @"),
        ("ä@x", "'ä' cannot stand before the @"),
        ("a@", "the domain is not of"),
        ("a@x.", "the domain is not of"),
        ("a@.x", "the domain is not of"),
        ("a@x..y", "the domain is not of"),
        ("a@-x", "the domain is not of"),
        ("a@x-.org", "the domain is not of"),
        ("a@x_y", "the domain is not of"),
        ("a@ä.org", "the domain is not of"),
        ("a@x\ny", "the domain is not of"),
        (f"a@{'b' * 64}", "the domain is not of"),
        (f"a{LONGEST_ADDRESS}", "it is longer than 254 characters"),
    ],
)
def test_an_invalid_address_is_refused_with_its_fault(text: str, fault: str) -> None:
    with pytest.raises(InvalidInputError, match=rf" is no e-mail address: {fault}"):
        EmailAddress.parse(text)


@pytest.mark.parametrize("text", [None, 7, b"ann@example.org"])
def test_an_address_that_is_not_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="an e-mail address must be text, not"):
        EmailAddress.parse(text)


def test_a_letter_that_lowers_to_another_is_refused() -> None:
    kelvin = "\u212a"
    assert kelvin.lower() == "k"
    with pytest.raises(InvalidInputError, match="cannot stand before the @"):
        EmailAddress.parse(f"{kelvin}@example.org")


@pytest.mark.parametrize("text", ["Ann@example.org", " ann@example.org", "ann@example.org\n"])
def test_the_value_has_one_spelling_only(text: str) -> None:
    with pytest.raises(InvalidInputError):
        EmailAddress(text)


@pytest.mark.parametrize("text", ["x" * 61, "\0" * 60, "x" * 1_000_000, "'" * 60])
def test_a_message_shows_60_characters_of_a_long_text_at_most(text: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        EmailAddress.parse(text)
    assert len(str(refused.value)) == 60 + len(" is no e-mail address: it has no @")


def test_a_message_shows_all_of_a_short_text() -> None:
    with pytest.raises(InvalidInputError, match=r"^'nobody' is no e-mail address: it has no @$"):
        EmailAddress.parse("nobody")
