"""E-mail addresses: reading one again changes nothing, whatever was typed."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.core.errors import InvalidInputError
from scheduler.invitations.email_address import EmailAddress
from support.strategies import emails


@given(emails)
def test_an_address_made_by_its_rules_is_one(text: str) -> None:
    assert EmailAddress(text).text == text


@given(emails, st.text(" \t\n\u00a0", max_size=3), st.integers(0))
def test_case_and_space_around_an_address_make_no_other_one(text: str, space: str, capitals: int) -> None:
    typed = "".join(letter.upper() if capitals >> at & 1 else letter for at, letter in enumerate(text))
    assert EmailAddress.parse(f"{space}{typed}{space}") == EmailAddress(text)


@given(st.text(max_size=20) | emails)
@example("\u212a@x")
def test_what_is_read_is_read_again_as_itself(text: str) -> None:
    with suppress(InvalidInputError):
        read = EmailAddress.parse(text)
        assert EmailAddress.parse(str(read)) == read


@given(emails, st.integers(0), st.sampled_from("@ \n\0A\u00e9"))
def test_an_address_with_a_foreign_character_within_is_none(text: str, place: int, foreign: str) -> None:
    at = place % (len(text) + 1)
    with pytest.raises(InvalidInputError):
        EmailAddress(text[:at] + foreign + text[at:])
