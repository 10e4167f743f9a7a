"""How the tests of pages look for an answer: in sight, not merely somewhere on the page."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
SOMEWHERE = "to_be_" + "visible"
"""True of what nobody reads who does not scroll."""


def test_an_answer_is_looked_for_in_sight() -> None:
    """By `Visitor.sees` and `in_sight`, never by Playwright's word for "somewhere on the page".

    Bug (outside look): the verdict of "Help a patron" was scrolled out of every window, and the
    tests found it visible.
    """
    using = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if SOMEWHERE in path.read_text(encoding="utf-8")
    ]

    assert using == []
