"""Large removals by an import: parts that a facility loses, and the question before they go."""

import pytest

from scheduler.openings.importing.removals import (
    NO_REMOVALS,
    LargeRemovalError,
    PartCounts,
    Removals,
    refuse_large_removals,
    removals_between,
)


def refusal(before: dict[str, PartCounts], after: dict[str, PartCounts], confirmed: Removals = NO_REMOVALS) -> str:
    """Return the reason for which the import is refused; empty if it is not."""
    try:
        refuse_large_removals(removals_between(before, after), confirmed=confirmed)
    except LargeRemovalError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({"a": PartCounts(rules=5)}, {"a": PartCounts(rules=5)}, ""),  # one replaced by another
        ({"a": PartCounts(rules=5)}, {"a": PartCounts(rules=4)}, "1 of 5 rules"),
        ({"a": PartCounts(rules=20)}, {"a": PartCounts(rules=18)}, ""),
        ({"a": PartCounts(rules=20)}, {"a": PartCounts(rules=17)}, "3 of 20 rules"),
        (
            {"a": PartCounts(rules=5), "b": PartCounts(rules=5)},
            {"a": PartCounts(rules=3), "b": PartCounts(rules=7)},
            "2 of 10 rules",
        ),
        ({"a": PartCounts(rules=90), "b": PartCounts(rules=10)}, {"a": PartCounts(rules=90)}, "all rules of 'b'"),
        ({"a": PartCounts(5, closures=3)}, {"a": PartCounts(5)}, "3 of 3 closures"),
        ({"a": PartCounts(5, exceptions=400)}, {"a": PartCounts(5)}, "400 of 400 exceptions"),
        ({"a": PartCounts(20, 10, 10)}, {"a": PartCounts(18, 9, 9)}, ""),
        (
            {name: PartCounts(2, 2, 2) for name in "abcde"},
            {"e": PartCounts(2, 0, 2)},
            "8 of 10 rules, 10 of 10 exceptions, 8 of 10 closures, all rules of 'a', 'b', 'c' and 1 more",
        ),
    ],
)
def test_a_large_removal_is_counted_per_facility(
    before: dict[str, PartCounts], after: dict[str, PartCounts], reason: str
) -> None:
    assert refusal(before, after) == (reason and f"the import removes {reason}")


def test_a_confirmed_removal_may_not_have_grown() -> None:
    before = {"a": PartCounts(20, 10, 10), "b": PartCounts(2)}
    after = {"a": PartCounts(10, 10, 5), "b": PartCounts(2)}
    confirmed = removals_between(before, after)
    assert refusal(before, after, confirmed) == ""
    assert refusal(before, {"a": PartCounts(12, 10, 6), "b": PartCounts(2)}, confirmed) == ""
    grown = {"a": PartCounts(9, 10, 5), "b": PartCounts(2)}
    assert refusal(before, grown, confirmed) == "the import removes 11 of 22 rules"
    other = {"a": PartCounts(12, 10, 5)}
    assert refusal(before, other, confirmed) == "the import removes all rules of 'b'"
