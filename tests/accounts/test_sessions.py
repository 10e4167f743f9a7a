from __future__ import annotations

import pytest

from doorctl.accounts.account import IDLE_MS, LONGEST_MS, TOUCH_MS, Session, Token, new_token
from doorctl.core.moments import BootTime

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
    assert SESSION.touched(after(seen_ms)).lives(after(now_ms)) is lives


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
