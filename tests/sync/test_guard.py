from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.policy import CHECKS
from doorctl.core.errors import PushGuardedError
from doorctl.sync.guard import Changes, guard, unguarded


def _changes(held: int = 10_000, **counts: Any) -> Changes:
    return Changes(held=held, **counts)


def _refuses(changes: Changes, max_percent: float = 5.0, floor: int = 10) -> bool:
    try:
        guard(max_percent, floor)(changes)
    except PushGuardedError:
        return True
    return False


def test_exactly_the_share_passes_and_one_more_does_not() -> None:
    """Of 10 000 cards 500 may be shut out within a week, for whatever reasons together."""
    assert not _refuses(_changes(shut_out=500, reasons={"removed": 200, "pins_changed": 300}))
    assert _refuses(_changes(shut_out=501, reasons={"removed": 200, "pins_changed": 301}))


def test_exactly_the_floor_passes_and_one_more_does_not() -> None:
    """In a branch of 55 cards 10 may be shut out, two families; 50 are most of them."""
    assert not _refuses(_changes(held=55, shut_out=10))
    assert _refuses(_changes(held=55, shut_out=11))
    assert _refuses(_changes(held=55, shut_out=50))


def test_share_and_floor_are_the_technicians() -> None:
    """A town that moves its register once sets them for that day."""
    assert not _refuses(_changes(shut_out=2000), max_percent=20.0)
    assert _refuses(_changes(shut_out=2001), max_percent=20.0)
    assert not _refuses(_changes(held=100, shut_out=50), floor=50)
    assert not _refuses(_changes(held=60, shut_out=60), max_percent=100.0, floor=0)
    assert _refuses(_changes(held=60, shut_out=1), max_percent=0.0, floor=0)


def test_each_reason_has_its_words() -> None:
    """In the order of the export's fields; a check that has no words here is told by its name."""
    of_checks = [check.by_row for check in CHECKS if check.by_row]
    names = ["newly_banned", *of_checks, "removed", "pins_lost", "pins_changed"]
    counts = {name: place for place, name in enumerate(names, start=1)}
    with pytest.raises(PushGuardedError) as refused:
        guard()(_changes(shut_out=501, reasons=counts))

    assert str(refused.value) == (
        "with the pushes of seven days it would shut out 501 of 10000 cards (9 removed; 3 blocked; "
        "4 not resident; 6 expired, inactive or on hold, now or within a week; 5 too young; "
        "7 without a tag that is required; 2 restricted; 8 with a weak PIN; 10 without a PIN; 11 "
        "with another PIN; 1 newly banned), more than 5 % and "
        "more than 10; nothing was changed; look at the export; if it is right, do it once more "
        "with --approved-by"
    )


def test_a_mass_widening_is_told_and_taken() -> None:
    """An export without blocks lets in whom it should not; to refuse it would keep others out."""
    assert guard()(_changes(let_in=500)) == {}
    why = "it lets in 501 of 10000 cards that were kept out"
    assert guard()(_changes(let_in=501)) == {"push_widened": why}
    assert guard()(_changes(held=55, let_in=10)) == {}


def test_no_floor_empties_a_small_branch() -> None:
    """Half of the register is the most that may be shut out, however small it is."""
    assert not _refuses(_changes(held=12, shut_out=6))
    assert _refuses(_changes(held=12, shut_out=7))
    assert _refuses(_changes(held=1, shut_out=1))
    assert _refuses(_changes(held=60, shut_out=31), floor=1_000_000)


def test_many_that_newly_end_are_told_and_taken() -> None:
    """Staff have weeks to mend it; with those that are shut out, and only where it is news."""
    assert guard()(_changes(ending=500, ending_now=500)) == {}
    assert guard()(_changes(ending=501)) == {}
    assert guard()(_changes(shut_out=300, reasons={"removed": 300}, ending=201, ending_now=1)) == {
        "push_unusual": "with the pushes of seven days 201 of 10000 cards newly end or go on hold "
        "within 60 days, besides 300 that are shut out"
    }


def test_many_under_another_patron_are_told_and_taken() -> None:
    """A library system that was exchanged gives everybody another number."""
    assert guard()(_changes(moved=500)) == {}
    assert guard()(_changes(let_in=501, moved=501)) == {
        "push_widened": "it lets in 501 of 10000 cards that were kept out",
        "push_unusual": "it puts 501 of 10000 cards under another patron",
    }


def test_a_patron_of_many_cards_is_told_and_of_too_many_refused() -> None:
    """A school has twenty; a thousand would all be shut out by one patron's wrong PINs.

    One that grows slowly beyond it is refused too, and so are many such patrons at once.
    """
    many = "it puts 20 cards more under patrons of more than 8 cards, 20 under one"
    assert guard()(_changes(crowded=20, largest=20)) == {"push_unusual": many}
    both = f"it puts 501 of 10000 cards under another patron; {many}"
    assert guard()(_changes(moved=501, crowded=20, largest=20)) == {"push_unusual": both}
    with pytest.raises(
        PushGuardedError,
        match=r"it would put 1 cards more under patrons of more than 8 cards, 501 of 10000 under "
        r"one, more than 5 % and more than 10; one patron's wrong PINs or ban .*--approved-by",
    ):
        guard()(_changes(crowded=1, largest=501))
    assert _refuses(_changes(crowded=501, largest=9))


CHANGES = st.builds(Changes, *[st.integers(0, 10**6)] * 3)


@given(CHANGES, st.floats(0, 100), st.integers(0, 1000))
def test_shutting_out_more_never_helps(changes: Changes, max_percent: float, floor: int) -> None:
    """What is refused stays refused when one more is shut out."""
    more = replace(changes, shut_out=changes.shut_out + 1)
    if _refuses(changes, max_percent, floor):
        assert _refuses(more, max_percent, floor)


def test_the_first_push_passes() -> None:
    """Nobody is shut out of an empty cache."""
    guard(0.0, 0)(_changes(held=0))


def test_unguarded_lets_everything_pass() -> None:
    """Somebody has approved of it by name."""
    unguarded(_changes(shut_out=10_000))
