"""Overrides name each rule that a visit may break, and say why (B8)."""

import pytest

from scheduler.core.errors import InvalidOverrideError
from scheduler.core.overrides import BookingRule, Override


def test_b8_an_override_keeps_its_rules_each_once() -> None:
    override = Override("the mother works nights", [BookingRule.CAP, BookingRule.CAP, BookingRule.NOTICE])
    assert override.rules == {BookingRule.CAP, BookingRule.NOTICE}


@pytest.mark.parametrize(
    ("reason", "rules", "field"),
    [
        ("", [BookingRule.CAP], "reason"),
        ("x" * 1001, [BookingRule.CAP], "reason"),
        (None, [BookingRule.CAP], "reason"),
        ("urgent", [], "rules"),
        ("urgent", ["cap"], "rules"),
        ("urgent", BookingRule.CAP, "rules"),
    ],
)
def test_b8_an_override_names_a_rule_and_a_reason(reason: str, rules: list[BookingRule], field: str) -> None:
    with pytest.raises(InvalidOverrideError, match=f"^override: {field} "):
        Override(reason, rules)
