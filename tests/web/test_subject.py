"""A person's rights beside a web process that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from doorctl.privacy.subject import PATRONS
from doorctl.store.subject import SubjectReader
from tests.store.samples import files_of
from tests.web.branch import Branch, row, rows

PERSON = row(7)
REF = PERSON.patron.patron_ref


@pytest.fixture
def branch(branches: Callable[..., Branch]) -> Iterator[Branch]:
    """A branch whose web process runs and holds ten patrons of push 5."""
    branch = branches()
    branch.start()
    assert branch.push(branch.document(rows(10), 5)).status_code == 200
    yield branch
    branch.end()


def call(branch: Branch, *words: str) -> str:
    """Run a subject command that has to work; return what it said."""
    done = branch.stage.call("subject", *words, "--patron-ref", REF)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def count(branch: Branch) -> tuple[int, bool]:
    """Return how many cards are held, and whether the person's is one."""
    with closing(SubjectReader(branch.directory / PATRONS)) as register:
        held = register.every_card()
    return len(held), PERSON.row_key in held


def test_the_running_owner_restricts_erases_and_goes_on_taking_pushes(branch: Branch) -> None:
    """A restriction is no affair of the pushes, and it ends.

    Of whoever is erased no byte is left; the next push of the library system counts, whoever it
    still has.
    """
    call(branch, "restrict")
    assert branch.push(branch.document(rows(10), 6)).status_code == 200
    assert '"restrictions"' in call(branch, "export", "--json")
    call(branch, "unrestrict")
    assert '"restrictions"' not in call(branch, "export", "--json")
    assert "library system too" in call(branch, "erase")

    assert count(branch) == (9, False)
    assert [
        name for name, content in files_of(branch.directory).items() if PERSON.row_key in content
    ] == []
    assert branch.held()["epoch"] == 6
    assert branch.push(branch.document(rows(10), 7)).status_code == 200
    assert count(branch) == (10, True)
