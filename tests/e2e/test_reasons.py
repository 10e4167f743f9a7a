"""Who gets in and who does not, and what a line may bring.

Bug (penetration test): two seconds of digits from a babbling keypad held the next patron for 68 s
and the order to stop for 48 s; a repeating reader wrote a thousand `overloaded` lines.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from doorctl.demo.door import Line, Plug
from tests.e2e.conftest import Doors
from tests.e2e.door import Door
from tests.e2e.kinds import KINDS
from tests.e2e.people import (
    ALSO_ENTITLED,
    CHILD,
    DEBTOR,
    ENTITLED,
    NOT_RESIDENT,
    PAST_EXPIRY,
    SELF_SERVICE,
    STOLEN,
    STRANGER,
    THIRD_ENTITLED,
    Person,
)
from tests.fakes.waiting import LIMIT_S, until

on_each_kind = pytest.mark.parametrize("shared_door", KINDS, indirect=True, scope="module")
"""Of `reader.kind` and `keypad.kind`: what is behind them knows no kind."""


@on_each_kind
@pytest.mark.parametrize("person", [ENTITLED, DEBTOR])
def test_the_entitled_get_in(shared_door: Door, person: Person) -> None:
    """Card and PIN of somebody who may enter: one decision, one row, one pulse of the relay."""
    before = sum(shared_door.levels())

    decision = shared_door.let_in(person)

    assert_told(shared_door, decision, "ok")
    assert sum(shared_door.levels()) == before + 1


@on_each_kind
@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (STRANGER, "unknown_card"),
        (NOT_RESIDENT, "not_resident"),
        (STOLEN, "blocked"),
        (CHILD, "under_age"),
        (PAST_EXPIRY, "expired"),
        (THIRD_ENTITLED, "wrong_pin"),
    ],
)
def test_others_do_not(shared_door: Door, person: Person, reason: str) -> None:
    """The right PIN of somebody who may not enter, or a wrong one: on record, no relay."""
    before = sum(shared_door.levels())

    pin = person.wrong_pin if reason == "wrong_pin" else person.pin
    decision = shared_door.visit(person, pin)

    assert_told(shared_door, decision, reason)
    assert sum(shared_door.levels()) == before


def test_clock_untrusted(doors: Doors) -> None:
    """On a clock that nobody vouches for, nothing that depends on the date lets anybody in."""
    door = doors.made("clock.trust=auto", *SELF_SERVICE)
    if door.start()["clock"] != "untrusted":
        pytest.skip("this machine's clock is vouched for, by a time service or a battery clock")

    decision = door.visit(ENTITLED)

    assert_told(door, decision, "clock_untrusted", clock="untrusted")
    assert sum(door.levels()) == 0


def test_release(doors: Doors) -> None:
    """The relay is on for `release_s`, to the log and to the pin, and exactly once.

    It counts from the grant, which a busy machine shows to the pin some milliseconds later: the end
    never comes sooner than `release_s` after the last digit was sent.

    Bug (review of 0.3): measured from the pin's own edge it was 0.696 s of 0.7 (the tests' own).
    """
    door = doors.started("door.release_s=0.7")
    attempt = door.swipe(ENTITLED.swipe)
    door.press(ENTITLED.pin[:-1])

    sent_ns = time.monotonic_ns()
    door.press(ENTITLED.pin[-1])

    assert door.wait_for("decision", attempt=attempt)["reason"] == "ok"
    door.wait_for("door", state="locked")
    on, off = door.edges(door.pid)
    said_on, said_off = door.said("relay")
    assert (on.level, off.level) == (1, 0)
    assert (said_on["energised"], said_off["energised"]) == (True, False)
    for began_ns, ended_ns in (
        (on.monotonic_ns, off.monotonic_ns),
        (said_on["monotonic_ns"], said_off["monotonic_ns"]),
    ):
        assert sent_ns <= began_ns < ended_ns
        assert 0.7 <= (ended_ns - sent_ns) / 1e9 < LIMIT_S
    assert door.stop() == 0
    assert [line["state"] for line in door.said("door")] == ["released", "locked"]


def assert_told(door: Door, decision: Line, reason: str, clock: str = "trusted") -> None:
    """Assert that the log line, the row and the listing of one attempt say the same."""
    verdict = "granted" if reason == "ok" else "refused"
    assert (decision["verdict"], decision["reason"]) == (verdict, reason)
    attempt = decision["attempt"]
    row = door.settled(attempt)
    assert (row.verdict, row.reason, row.clock) == (verdict, reason, clock)
    assert row.row_key is not None
    listed = json.loads(door.call("visits", "list", "--json").stdout)
    (visit,) = (visit for visit in listed if visit["attempt"] == attempt)
    expected = {"clock": clock, "verdict": verdict, "reason": reason}
    assert visit.items() >= {**expected, "card": row.row_key.hex()[:8]}.items()
    since = datetime.now(UTC) - datetime.fromisoformat(visit["at"])
    assert timedelta() <= since < timedelta(minutes=2)


@contextmanager
def listening(plug: Plug) -> Iterator[int]:
    """Hold a device open as the kernel does for a reader that is plugged in; yields its fd."""
    descriptor = os.open(plug.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def waiting(descriptor: int) -> int:
    """Return how many bytes lie in the kernel's buffer."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    count: int = struct.unpack("i", answer)[0]
    return count


def test_swiped_before_start(door: Door) -> None:
    """A swipe and a PIN that waited in the kernel's buffers never open the door."""
    door.reader.put_in()
    door.keypad.put_in()
    with listening(door.reader) as reader, listening(door.keypad) as keypad:
        door.reader.send(ENTITLED.swipe)
        door.keypad.send(ENTITLED.pin.encode())
        until(lambda: waiting(reader))
        until(lambda: waiting(keypad))
        door.start_door()

        assert waiting(reader) == waiting(keypad) == 0
    assert door.let_in(ALSO_ENTITLED)["attempt"] == 1
    assert [line["reason"] for line in door.said("decision")] == ["ok"]
    assert door.levels() == [1, 0]
    assert len(door.rows()) == 1


HOSTILE = {
    "far too long": b"A" * 300 + b"\r",
    "no UTF-8": b"\xff\xfe\xc3\x28\xa0\xa1\r",
    "a log line": b'{"event":"decision","reason":"ok","attempt":1}\n',
}


@on_each_kind
@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_one_unreadable_card(shared_door: Door, frame: bytes) -> None:
    """Whatever comes down the line is one unreadable card, and the next patron gets in."""
    if len(frame) > shared_door.most_of_a_card:
        pytest.skip("no reader of this kind says so much of a card")
    seen = len(shared_door.lines)

    shared_door.reader.send(frame)
    unreadable = shared_door.wait_for("decision")
    row = shared_door.settled(unreadable["attempt"])
    shared_door.let_in(ENTITLED)

    assert (unreadable["verdict"], unreadable["reason"]) == ("refused", "card_unreadable")
    assert (row.verdict, row.reason, row.row_key) == ("refused", "card_unreadable", None)
    # What the start of a door on a busy machine still says is no answer to this.
    said = [line for line in shared_door.lines[seen:] if line["event"] not in {"purge", "mode"}]
    names = [line["event"] for line in said]
    assert names == ["decision", "relay", "door", "decision", "relay", "door"]


FLOOD_BYTES = 670_000
"""What two seconds of a USB device that never pauses bring."""

HEARD_S = 2.0
STOPPED_S = 60.0

FLOODS = {"digits": ("keypad", b"4711"), "a card": ("reader", ALSO_ENTITLED.swipe)}


@pytest.mark.parametrize(("line", "what"), FLOODS.values(), ids=FLOODS)
def test_a_flood_holds_up_neither_the_next_patron_nor_a_stop(
    doors: Doors, line: str, what: bytes
) -> None:
    """A device that poured out bytes is heard two seconds after it fell silent, and told of once.

    What it sent meanwhile is dropped, so it can't hold the loop for as long as so many keys would;
    the order to stop is seen before the rest of it.
    """
    flood = what * (FLOOD_BYTES // len(what))
    door = doors.started("policy.code_entry=true")
    getattr(door, line).send(flood)
    time.sleep(HEARD_S)
    seen = len(door.lines)

    door.let_in(ENTITLED)
    # Once for the bytes and once for the cards in them.
    assert door.alarms().count("overloaded") <= 2
    assert len(door.lines) - seen <= 10

    getattr(door, line).send(flood)
    asked_s = time.monotonic()
    assert door.stop() == 0
    assert time.monotonic() - asked_s < STOPPED_S
