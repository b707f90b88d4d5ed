"""E-mail addresses: parsing is idempotent and ignores case and surrounding space."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.core.email_address import EmailAddress
from scheduler.core.errors import InvalidInputError
from support.strategies import emails


@given(emails)
def test_a_generated_address_is_accepted(text: str) -> None:
    assert EmailAddress(text).text == text


@given(emails, st.text(" \t\n\u00a0", max_size=3), st.integers(0))
def test_case_and_surrounding_space_do_not_change_an_address(text: str, space: str, capitals: int) -> None:
    typed = "".join(letter.upper() if capitals >> at & 1 else letter for at, letter in enumerate(text))
    assert EmailAddress.parse(f"{space}{typed}{space}") == EmailAddress(text)


@given(st.text(max_size=20) | emails)
@example("\u212a@x")
def test_parsing_a_parsed_address_changes_nothing(text: str) -> None:
    with suppress(InvalidInputError):
        parsed = EmailAddress.parse(text)
        assert EmailAddress.parse(str(parsed)) == parsed


@given(emails, st.integers(0), st.sampled_from("@ \n\0A\u00e9"))
def test_an_address_with_an_invalid_character_is_refused(text: str, place: int, foreign: str) -> None:
    at = place % (len(text) + 1)
    with pytest.raises(InvalidInputError):
        EmailAddress(text[:at] + foreign + text[at:])
