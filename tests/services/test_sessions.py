from __future__ import annotations

import pytest

from doorctl.accounts.account import (
    IDLE_MS,
    LONGEST_MS,
    TOUCH_MS,
    Pending,
    Permission,
    Session,
    Token,
    new_token,
)
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime
from doorctl.privacy.audit import Action
from doorctl.services.accounts import (
    AT_ONCE,
    KEPT_S,
    MOST,
    MOST_COUNTED,
    MOST_OF_ONE,
    REFILL_S,
    Begun,
    PendingSignIns,
    Refusals,
)
from tests.fakes.accounts import MemoryThread

BEGAN = BootTime("boot-1", 1_000_000)
SESSION = Session("grethe", BEGAN, BEGAN)


def after(ms: int, boot_id: str = "boot-1") -> BootTime:
    """Return a time so long after the session began."""
    return BootTime(boot_id, BEGAN.ms + ms)


@pytest.mark.parametrize(
    ("seen_ms", "now_ms", "lives"),
    [
        (0, 0, True),
        (0, IDLE_MS - 1, True),
        (0, IDLE_MS, False),
        (LONGEST_MS - 1, LONGEST_MS - 1, True),
        (LONGEST_MS - 1, LONGEST_MS, False),
    ],
)
def test_a_session_ends_by_itself(seen_ms: int, now_ms: int, lives: bool) -> None:
    """After half an hour of nothing, and after a working day of anything."""
    assert Session("grethe", BEGAN, after(seen_ms)).lives(after(now_ms)) is lives


def test_a_restart_ends_every_session() -> None:
    """Even where the new boot's clock stands as the old one's did."""
    assert not SESSION.lives(after(0, "boot-2"))


def test_that_somebody_is_there_is_stored_once_a_minute() -> None:
    """Not at each page, for the card wears out."""
    assert not SESSION.touch_due(after(TOUCH_MS - 1))
    assert SESSION.touch_due(after(TOUCH_MS))


def test_a_token_is_long_new_and_not_shown() -> None:
    """256 bits, each time others; what is stored of it can't be shown to sign in."""
    tokens = {new_token().reveal() for _ in range(50)}

    assert len(tokens) == 50
    assert all(len(one) == 43 for one in tokens)
    assert "xyz" not in repr(Token("xyz"))
    assert len(Token("xyz").digest) == 32


def refusals_of(thread: MemoryThread) -> Refusals:
    """Return what counts them."""
    return Refusals(thread, thread.clock)


def test_the_first_ones_are_on_record_and_then_one_an_hour() -> None:
    """Whoever asks all day leaves a few entries, and the next one tells how many were left out."""
    refusals = refusals_of(MemoryThread())
    first = [refusals.due("kaj", 0.0) for _ in range(AT_ONCE + 3)]
    later = [refusals.due("kaj", REFILL_S), refusals.due("kaj", REFILL_S + 1)]

    assert first == [0] * AT_ONCE + [None] * 3
    assert later == [3, None]
    day = [refusals.due("kaj", REFILL_S + second) for second in range(2, 24 * 3600)]
    assert sum(one is not None for one in day) == 23


def test_who_was_refused_what_is_on_record() -> None:
    """The account, the route as the code has it, and what it lacks."""
    thread = MemoryThread()
    refusals = refusals_of(thread)
    for _ in range(1000):
        refusals.note("kaj", "/bans/{number}/lift", Permission.CHANGE_BANS)
    thread.clock.advance(REFILL_S)
    refusals.note("kaj", "/audit", Permission.SEE_AUDIT)

    first: dict[str, int | str] = {"page": "/bans/{number}/lift", "needs": "change_bans"}
    last: dict[str, int | str] = {"page": "/audit", "needs": "see_audit"}
    assert thread.events == [
        *[(Action.PAGE_REFUSED, "kaj", first)] * AT_ONCE,
        (Action.PAGE_REFUSED, "kaj", last | {"left_out": 1000 - AT_ONCE}),
    ]


def test_after_a_quiet_night_there_is_room_again() -> None:
    """For as many as at first, and not for more."""
    refusals = refusals_of(MemoryThread())
    for _ in range(AT_ONCE):
        refusals.due("kaj", 0.0)
    again = [refusals.due("kaj", 1000 * REFILL_S) for _ in range(AT_ONCE + 1)]

    assert again == [0] * AT_ONCE + [None]


def test_only_so_many_accounts_are_counted() -> None:
    """A whole municipality that may sign in fills no memory."""
    refusals = refusals_of(MemoryThread())
    for _ in range(AT_ONCE + 1):
        refusals.due("kaj", 0.0)
        refusals.due("grethe", 0.0)
    for number in range(MOST_COUNTED - 1):
        refusals.due(f"name-{number}", 0.0)

    assert len(refusals._of) == MOST_COUNTED  # noqa: SLF001 - what is kept shows nowhere else
    assert refusals.due("grethe", 0.0) is None
    assert refusals.due("kaj", 0.0) == 0


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
