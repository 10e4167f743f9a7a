from __future__ import annotations

from doorctl.accounts.account import Pending, new_token
from doorctl.accounts.signing_in import KEPT_S, MOST, MOST_OF_ONE, Begun, PendingSignIns
from doorctl.core.masked import Masked


def begun(state: str = "s") -> Begun:
    """Return what a browser was sent away with."""
    return Begun(Pending(Masked(state), Masked("n"), Masked("v")), "/log")


def test_what_was_begun_counts_once_and_not_for_long() -> None:
    """A second use of the cookie, a late one, and one that nobody was given find nothing."""
    kept = PendingSignIns()
    first, late = kept.keep(begun(), 0.0, "192.0.2.1"), kept.keep(begun(), 0.0, "192.0.2.1")

    assert kept.take(first, 1.0) == begun()
    assert kept.take(first, 1.0) is None
    assert kept.take(late, KEPT_S) is None
    assert kept.take(new_token(), 1.0) is None


def test_only_so_many_are_kept() -> None:
    """Whoever begins them by the thousand fills no memory; the oldest are forgotten."""
    kept = PendingSignIns()
    tokens = [
        kept.keep(begun(str(one)), 0.0, f"10.0.{one >> 8}.{one & 255}") for one in range(MOST + 1)
    ]

    assert kept.take(tokens[0], 0.0) is None
    assert kept.take(tokens[1], 0.0) == begun("1")


def test_looking_uses_nothing_up() -> None:
    """What was begun can be looked at again and again, for as long as it counts."""
    kept = PendingSignIns()
    token = kept.keep(begun(), 0.0, "192.0.2.1")

    assert kept.take(token, 1.0, stays=True) == kept.take(token, 1.0, stays=True) == begun()
    assert kept.take(token, KEPT_S, stays=True) is None
    assert kept.take(new_token(), 1.0, stays=True) is None
    assert kept.take(token, 1.0) == begun()
    assert kept.take(token, 1.0, stays=True) is None


def test_nobody_pushes_others_out() -> None:
    """Whoever begins many of them makes their own be forgotten, all of one IPv6 network's alike."""
    kept = PendingSignIns()
    mine = kept.keep(begun(), 0.0, "192.0.2.1")
    theirs = [kept.keep(begun(), 0.0, f"2001:db8::{one:x}") for one in range(2 * MOST_OF_ONE)]

    assert kept.take(mine, 1.0) == begun()
    there = [kept.take(one, 1.0) is not None for one in theirs]
    assert there == [False] * MOST_OF_ONE + [True] * MOST_OF_ONE
