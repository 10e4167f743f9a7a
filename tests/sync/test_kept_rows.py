"""How long the sender keeps the sealed rows of patrons who were taken out, and what for."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from doorctl.store.outbox import open_or_create_outbox
from doorctl.sync.delivery import Result
from tests.fakes.branch import FakeBranch
from tests.sync.senders import TERMS, TODAY, Town, patron


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Two branches, nothing sent yet."""
    return Town(tmp_path, [FakeBranch("oest"), FakeBranch("syd")])


def rows_kept(town: Town) -> int:
    """Return how many patrons who were taken out the outbox has sealed rows of."""
    with closing(open_or_create_outbox(town.outbox_path)) as outbox:
        return len(outbox.taken_out())


def test_a_halved_export_costs_nothing_until_every_branch_took_it(town: Town) -> None:
    """Rows are kept until all branches say that they know; so the whole export seals nobody again.

    Bug (operations review): an export halved at a row's end dropped all other sealed rows at once,
    before any branch had taken that.
    """
    everybody = [patron(number) for number in range(1, 9)]
    town.source.patrons = everybody
    town.push()
    oest, syd = town.branches
    before = dict(oest.rows)
    syd.refuses = "it would shut out 4 of 8"
    town.source.patrons = everybody[:4]
    assert town.push()[0].removed == 4
    assert (len(oest.patrons()), len(syd.patrons()), rows_kept(town)) == (4, 8, 4)
    town.push()
    town.sealer.count, syd.refuses = 0, ""

    town.source.patrons = everybody
    found, deliveries = town.push()

    assert (town.sealer.count, found.changed, found.returned) == (0, 0, 4)
    assert oest.rows == syd.rows == before
    assert all(one.up_to_date and not one.snapshot for one in deliveries.values())
    assert rows_kept(town) == 0


def test_what_every_branch_took_is_dropped(town: Town) -> None:
    """Nothing of a patron who has left stays once all know it; one who is back is sealed anew."""
    town.source.patrons = [patron(1), patron(2)]
    town.push()
    town.source.patrons = [patron(1)]
    town.push()
    with closing(open_or_create_outbox(town.outbox_path)) as outbox:
        assert outbox.database.execute("SELECT patron_ref FROM patrons").fetchall() == [("1",)]

    town.sealer.count, town.source.patrons = 0, [patron(1), patron(2)]
    found, _ = town.push()
    assert (town.sealer.count, found.changed, found.returned) == (1, 1, 0)


def test_who_comes_back_changed_is_sealed(town: Town) -> None:
    """Another PIN, block or card, or a key that is another: the kept rows are of no use."""
    town.source.patrons = [patron(1), patron(2), patron(3)]
    town.push()
    town.branches[1].away = True
    town.source.patrons = [patron(1)]
    town.push()
    town.sealer.count = 0

    town.source.patrons = [patron(1), patron(2, pin="0815"), patron(3)]
    found, _ = town.push()
    assert (town.sealer.count, found.changed, found.returned) == (1, 1, 1)

    town.source.patrons = [patron(1)]
    town.push()
    town.push(terms=replace(TERMS, minimum_age=15))
    assert rows_kept(town) == 0
    town.source.patrons = [patron(1), patron(2), patron(3)]
    assert town.push(terms=replace(TERMS, minimum_age=15))[0].returned == 0


def test_a_branch_that_never_answers_keeps_nobody_for_ever(town: Town) -> None:
    """After a week nothing is left of a patron who has left; the branch gets all rows when back.

    A day that a wrong clock named counts no longer than from the first right one.
    """
    town.source.patrons = [patron(1), patron(2)]
    town.push()
    oest, syd = town.branches
    syd.away = True
    town.source.patrons = [patron(1)]
    town.push(on=TODAY + timedelta(days=300))
    for day in range(7):
        town.push(on=TODAY + timedelta(days=day))
        assert rows_kept(town) == 1
    town.push(on=TODAY + timedelta(days=7))

    assert rows_kept(town) == 0
    with closing(open_or_create_outbox(town.outbox_path)) as outbox:
        assert outbox.database.execute("SELECT patron_ref FROM patrons").fetchall() == [("1",)]
    syd.away = False
    _, deliveries = town.push(on=TODAY + timedelta(days=8))
    assert (deliveries["syd"].snapshot, syd.rows) == (True, oest.rows)
    assert deliveries["oest"].result is Result.UNCHANGED
