from __future__ import annotations

from doorctl.accounts.pending import KEPT_S, MOST, PendingSignIns
from doorctl.accounts.ports import Pending
from doorctl.accounts.sessions import new_token
from doorctl.masked import Masked


def pending(state: str = "s") -> Pending:
    """Return what a browser was sent away with."""
    return Pending(Masked(state), Masked("n"), Masked("v"))


def test_what_was_begun_counts_once_and_not_for_long() -> None:
    """A second use of the cookie, a late one, and one that nobody was given find nothing."""
    kept = PendingSignIns()
    first, late = kept.keep(pending(), 0.0), kept.keep(pending(), 0.0)

    assert kept.take(first, 1.0) == pending()
    assert kept.take(first, 1.0) is None
    assert kept.take(late, KEPT_S) is None
    assert kept.take(new_token(), 1.0) is None


def test_only_so_many_are_kept() -> None:
    """Whoever begins them by the thousand fills no memory; the oldest are forgotten."""
    kept = PendingSignIns()
    tokens = [kept.keep(pending(str(number)), 0.0) for number in range(MOST + 1)]

    assert kept.take(tokens[0], 0.0) is None
    assert kept.take(tokens[1], 0.0) == pending("1")
