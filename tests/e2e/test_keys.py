from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import UNHEARD_S, Door
from tests.e2e.people import (
    ALSO_ENTITLED,
    ENTITLED,
    STOLEN,
    THIRD_ENTITLED,
    Person,
    blocked,
    write_feed,
)

BOTH_LINES = pytest.mark.parametrize("with_keypad", [True, False], ids=["own line", "shared line"])


@BOTH_LINES
def test_clear(doors: Doors, *, with_keypad: bool) -> None:
    """Clear takes back what was typed; enter on an empty pad is nothing; a digit too much is not.

    The same holds for keys on a line of their own and on the reader's.
    """
    door = doors.started(with_keypad=with_keypad)

    reasons = [
        door.visit(ENTITLED, before + ENTITLED.pin)["reason"]
        for before in ("", "12*", "123*", "*", "#", "1")
    ]

    assert reasons == ["ok"] * 5 + ["wrong_pin"]


@BOTH_LINES
def test_enter(doors: Doors, *, with_keypad: bool) -> None:
    """Enter ends a PIN that is shorter than the longest; a beginning of it proves nothing."""
    door = doors.started("policy.pin_length=6", with_keypad=with_keypad)

    reasons = [door.visit(ENTITLED, f"{pin}#")["reason"] for pin in ("471", "47119", ENTITLED.pin)]

    assert reasons == ["wrong_pin", "wrong_pin", "ok"]


@BOTH_LINES
@pytest.mark.parametrize("second", [ALSO_ENTITLED, THIRD_ENTITLED], ids=["plastic", "stripe"])
def test_another_card(doors: Doors, second: Person, *, with_keypad: bool) -> None:
    """Another card in the middle starts afresh: no digit typed for the first counts for it."""
    door = doors.started(with_keypad=with_keypad)
    first = door.swipe(ENTITLED.swipe)
    door.press_heard(ENTITLED.pin[:2])

    swiped = door.swipe(second.swipe)
    door.press(second.pin)

    superseded = door.wait_for("decision", attempt=first)
    decision = door.wait_for("decision", attempt=swiped)
    assert (superseded["reason"], decision["reason"]) == ("pin_timeout", "ok")
    door.wait_for("relay", energised=False)
    assert [edge.level for edge in door.edges(door.pid)] == [1, 0]
    assert door.settled(first).row_key != door.settled(swiped).row_key


def test_another_card_after_three_digits(doors: Doors) -> None:
    """Somebody else's card is never the missing digit of a PIN that was begun.

    On the reader's line the digits of a plastic card without sentinels are the same bytes as keys.
    """
    door = doors.started(with_keypad=False)
    door.swipe(ENTITLED.swipe)
    door.press_heard(ENTITLED.pin[:3])

    door.reader.send(f"{ENTITLED.pin[3]}000001234\r".encode())

    assert door.wait_for("decision")["reason"] != "ok"
    assert door.edges(door.pid) == []


def test_pin_of_the_first_card(doors: Doors) -> None:
    """Two cards with the first one's PIN open nothing: the second card is the one that counts."""
    door = doors.started()
    door.swipe(ENTITLED.swipe)
    second = door.swipe(ALSO_ENTITLED.swipe)
    door.press(ENTITLED.pin)

    assert door.wait_for("decision", attempt=second)["reason"] == "wrong_pin"
    assert door.edges(door.pid) == []


def test_keys_without_a_card(doors: Doors) -> None:
    """What was typed before the card is not part of the PIN, on either line."""
    for with_keypad in (True, False):
        door = doors.started(with_keypad=with_keypad)
        door.press("99#*9")
        # Two lines have no order between them: the keys must be heard before the card.
        time.sleep(UNHEARD_S)

        assert door.visit(ENTITLED)["reason"] == "ok"


def test_whole_entry_in_one_burst(doors: Doors) -> None:
    """A keypad that sends its four digits at once is understood: no digit is lost."""
    door = doors.started()
    attempt = door.swipe(ENTITLED.swipe)
    door.keypad.send(ENTITLED.pin.encode() + b"\r\n")

    assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"


def test_push_between_card_and_pin(doors: Doors, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A block that arrives while the patron types counts: no decision uses older rows."""
    door = doors.started()
    feed = tmp_path_factory.mktemp("push") / "feed.ndjson"
    now_blocked = Person(ENTITLED.number, ENTITLED.pin, blocked("O"), kind="CPR")
    write_feed(feed, (now_blocked, STOLEN))
    attempt = door.swipe(ENTITLED.swipe)

    assert door.call("patrons", "load", str(feed)).returncode == 0
    door.press(ENTITLED.pin)

    assert door.wait_for("decision", attempt=attempt)["reason"] == "blocked"
    assert door.edges(door.pid) == []


def test_green_and_red(shared_door: Door) -> None:
    """The green lamp is for who gets in, the red one for who doesn't, and never both."""
    pid = shared_door.pid
    before = [len(shared_door.edges(pid, lamp)) for lamp in ("GPIO23", "GPIO24")]

    shared_door.let_in(ENTITLED)
    after_grant = [len(shared_door.edges(pid, lamp)) for lamp in ("GPIO23", "GPIO24")]
    shared_door.visit(STOLEN)
    after_refusal = shared_door.edges(pid, "GPIO24")

    assert after_grant[0] > before[0]
    assert after_grant[1] == before[1]
    assert after_refusal[-1].level == 1
    assert shared_door.edges(pid, "GPIO23")[-1].level == 0
