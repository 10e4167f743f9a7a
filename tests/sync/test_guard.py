from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.errors import PushGuardedError
from doorctl.ports import Changes
from doorctl.sync.guard import guard, unguarded


def _changes(held: int = 10_000, **counts: int) -> Changes:
    return Changes(held=held, **counts)


def _refuses(changes: Changes, max_percent: float = 5.0, floor: int = 50) -> bool:
    try:
        guard(max_percent, floor)(changes)
    except PushGuardedError:
        return True
    return False


WAYS = ["removed", "shut_out", "pins_changed"]


@pytest.mark.parametrize("way", WAYS)
def test_exactly_the_share_passes_and_one_more_does_not(way: str) -> None:
    """Of 10 000 cards 500 may be changed by a push, in each of the three ways."""
    assert not _refuses(_changes(**{way: 500}))
    assert _refuses(_changes(**{way: 501}))


@pytest.mark.parametrize("way", WAYS)
def test_exactly_the_floor_passes_and_one_more_does_not(way: str) -> None:
    """In a branch of 60 cards 50 may be shut out, though that is most of them."""
    assert not _refuses(_changes(held=60, **{way: 50}))
    assert _refuses(_changes(held=60, **{way: 51}))


def test_each_way_counts_for_itself() -> None:
    """Who leaves, who is shut out for whatever reason, and whose PIN is another."""
    assert not _refuses(_changes(removed=500, shut_out=500, pins_changed=500))
    assert _refuses(_changes(shut_out=501, newly_blocked=251, newly_expired=250))


def test_share_and_floor_are_the_technicians() -> None:
    """A town that moves its register once sets them for that day."""
    assert not _refuses(_changes(removed=2000), max_percent=20.0)
    assert _refuses(_changes(removed=2001), max_percent=20.0)
    assert _refuses(_changes(held=60, removed=11), floor=10)
    assert not _refuses(_changes(held=60, removed=60), max_percent=100.0, floor=0)
    assert _refuses(_changes(held=60, removed=1), max_percent=0.0, floor=0)


def test_the_text_says_what_would_happen_and_what_to_do() -> None:
    """Whoever looks at the export knows what to look for."""
    with pytest.raises(
        PushGuardedError,
        match=r"it would shut out 501 of 10000 cards "
        r"\(400 blocked; 120 expired, inactive or on hold\), "
        r"more than 5 % and more than 50; nothing was changed; .* with --approved-by",
    ):
        guard()(_changes(shut_out=501, newly_blocked=400, newly_expired=120))
    with pytest.raises(PushGuardedError, match=r"it would change the PIN of 501 of 10000 cards, "):
        guard()(_changes(pins_changed=501))
    with pytest.raises(PushGuardedError, match=r"it would remove 501 of 10000 cards, "):
        guard()(_changes(removed=501))


CHANGES = st.builds(Changes, *[st.integers(0, 10**6)] * 4)


@given(CHANGES, st.sampled_from(WAYS), st.floats(0, 100), st.integers(0, 1000))
def test_shutting_out_more_never_helps(
    changes: Changes, way: str, max_percent: float, floor: int
) -> None:
    """What is refused stays refused when one more is shut out."""
    more = replace(changes, **{way: getattr(changes, way) + 1})
    if _refuses(changes, max_percent, floor):
        assert _refuses(more, max_percent, floor)


def test_the_first_push_passes() -> None:
    """Nobody is shut out of an empty cache."""
    guard(0.0, 0)(_changes(held=0))


def test_unguarded_lets_everything_pass() -> None:
    """Somebody has approved of it by name."""
    unguarded(_changes(removed=10_000))
