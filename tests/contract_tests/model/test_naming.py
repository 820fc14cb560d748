"""Accounts in a sentence: all of a few, a few of many."""

from __future__ import annotations

import pytest

from roomhook.contract_tests.model.naming import are, listed


@pytest.mark.parametrize(
    ("accounts", "text"),
    [
        ([], "nobody"),
        (["b", "a"], "a, b"),
        (list("abcdefg"), "a, b, c, d, e, f, g"),
        (list("abcdefgh"), "a, b, c, d, e, f and 2 others"),
    ],
)
def test_many_are_told_by_the_first_few(accounts: list[str], text: str) -> None:
    assert listed(accounts) == text


def test_the_verb_goes_with_the_number() -> None:
    assert (are(["a"]), are(["a", "b"])) == ("a is", "a, b are")
