"""One line without keys: frames, deadlines, two tracks, loss of the line, hostile senders."""

import tracemalloc
from typing import Any

import pytest

from doorctl.cards.numbers import MAX_FRAME_BYTES
from doorctl.cards.reader import FRAME_IDLE_S, MAX_BACKLOG_BYTES, CardReader
from doorctl.core.masked import Reading
from tests.cards.samples import (
    BAD_DATE,
    CUT_OFF,
    GARBAGE,
    HEALTH_CARD,
    ONLY_TRACK_1,
    PLASTIC_CARD,
    STRIPE,
    TOO_LONG,
    TRACK_1,
    TRACK_2,
    TRACK_3,
    Caller,
    byte_by_byte,
    readings_of,
)

LINE_1 = b"%" + TRACK_1 + b"?\r"
LINE_2 = b";" + TRACK_2 + b"?\r"


def test_readings_come_one_at_a_time() -> None:
    """What waits behind a reading is not looked at before the caller asks again."""
    reader = CardReader(carries_keys=False)
    reader.receive(b"3000001234\r" + LINE_2, 0.0)

    assert reader.next_reading(awaiting_pin=False) == PLASTIC_CARD
    assert reader.next_reading(awaiting_pin=True) == HEALTH_CARD
    assert reader.next_reading(awaiting_pin=True) is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        pytest.param(b"L", [], id="a leftover byte is no attempt"),
        pytest.param(b" \r\t\n", [], id="nor are blanks"),
        pytest.param(LINE_1 + b";E?\r", [ONLY_TRACK_1], id="a worn stripe is one card"),
        pytest.param(b";E?\r" + LINE_1, [ONLY_TRACK_1], id="in any order"),
        pytest.param(LINE_1 + LINE_1, [ONLY_TRACK_1], id="one swipe is one reading"),
        pytest.param(LINE_1 + b"+123?\r", [ONLY_TRACK_1], id="without a track 2 too"),
        pytest.param(b"\x023000001234", [CUT_OFF], id="what an STX began lacks its end"),
        pytest.param(
            b"3000001234\r4\r7#12\r471\r",
            [PLASTIC_CARD, GARBAGE, GARBAGE, GARBAGE],
            id="nobody types a PIN through the card reader",
        ),
        *(
            pytest.param(before + third + b"\r", [read], id="a third track vanishes beside others")
            for third in (b";E?", b"+E?", TRACK_3)
            for before, read in (
                (LINE_2, HEALTH_CARD),
                (LINE_1 + LINE_2, HEALTH_CARD),
                (b"", ONLY_TRACK_1),
            )
        ),
    ],
)
def test_what_is_read_of_a_line(sent: bytes, read: list[Reading]) -> None:
    """Whether a PIN is awaited or not."""
    assert readings_of(sent) == read
    assert readings_of(sent, awaiting_pin=True) == read


@pytest.mark.parametrize("carries_keys", [False, True])
def test_discarding_is_not_ended_by_a_sentinel(*, carries_keys: bool) -> None:
    """Somewhere in the middle of an endless line no card begins."""
    junk = b"x" * (MAX_FRAME_BYTES + 1)

    assert readings_of(junk + LINE_2, carries_keys=carries_keys) == [TOO_LONG]


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        (b"A" * 1_000_000 + b"\r", TOO_LONG),
        (b"\x01\r", GARBAGE),
        (b"\x1b[2J\x1b[31m\r", GARBAGE),
        (b"'; DROP TABLE patrons; --\r", GARBAGE),
        (b"../../etc/passwd\r", GARBAGE),
        (b"<script>alert(1)</script>\r", GARBAGE),
        (b"\xc3\x28\xff\xfe\r", GARBAGE),
        (b";car=?\r", GARBAGE),
        (b"&branchcode=oest\r", GARBAGE),
        (b";" + TRACK_2.replace(b"010170", b"310270") + b"?\r", BAD_DATE),
        (LINE_1, ONLY_TRACK_1),
    ],
)
@pytest.mark.parametrize("carries_keys", [False, True])
def test_hostile_input_is_one_unreadable_and_the_next_card_reads(
    line: bytes, shape: object, *, carries_keys: bool
) -> None:
    """Nothing raises, nothing is said twice and nothing is left over."""
    caller = Caller(carries_keys=carries_keys)
    caller.receive(line, 0.0)
    caller.wait()
    assert caller.readings == [shape]

    caller.receive(LINE_2, 10.0)
    caller.wait()
    assert caller.readings == [shape, HEALTH_CARD]


def test_an_endless_line_is_told_while_it_lasts() -> None:
    """Too long is too long at the moment of the overflow, not at the end."""
    caller = Caller()
    caller.receive(b"x" * (MAX_FRAME_BYTES + 1), 0.0)
    assert caller.readings == [TOO_LONG]

    caller.receive(b"yz\r3000001234\r", 0.1)
    assert caller.readings == [TOO_LONG, PLASTIC_CARD]


class Watched(bytes):
    """Bytes that count how many of them were looked at one by one."""

    looked = 0

    def __getitem__(self, key: Any) -> Any:
        self.looked += 1
        return super().__getitem__(key)


def test_the_rest_of_an_endless_line_is_not_looked_at_one_by_one() -> None:
    """A device gone mad costs the loop next to nothing, or whoever types would wait for it."""
    flood = Watched(b"x" * 100_000 + b"\r3000001234\r")

    assert readings_of(flood) == [TOO_LONG, PLASTIC_CARD]
    assert flood.looked < 2 * MAX_FRAME_BYTES


def test_half_a_swipe_is_cut_off_at_its_deadline() -> None:
    """The deadline is the caller's to keep; time may also pass with the next bytes."""
    caller = Caller()
    caller.receive(STRIPE[:50], 1.0)
    assert caller.reader.deadline_s == 1.0 + FRAME_IDLE_S

    caller.pass_time(1.0 + FRAME_IDLE_S - 0.01)
    assert caller.readings == []
    caller.receive(b"3000001234\r", 1.0 + FRAME_IDLE_S)
    assert caller.readings == [CUT_OFF, PLASTIC_CARD]
    assert caller.reader.deadline_s is None


def test_track_1_alone_is_told_after_the_hold() -> None:
    """Track 2 gets as long to follow as a frame's next byte."""
    caller = Caller()
    caller.receive(LINE_1, 1.0)
    assert caller.readings == []
    assert caller.reader.deadline_s == 1.0 + FRAME_IDLE_S

    caller.pass_time(1.0 + FRAME_IDLE_S)
    assert caller.readings == [ONLY_TRACK_1]
    assert caller.reader.deadline_s is None


def test_track_2_that_has_begun_keeps_track_1_on_hold() -> None:
    """A slow line does not make two readings of one swipe."""
    caller = Caller()
    caller.receive(LINE_1, 0.0)
    caller.receive(LINE_2[:10], FRAME_IDLE_S - 0.01)
    caller.receive(LINE_2[10:], FRAME_IDLE_S + 0.2)
    caller.wait()

    assert caller.readings == [HEALTH_CARD]


def test_track_1_long_after_a_card_is_a_swipe_of_its_own() -> None:
    """Only a track 1 that belongs to the card vanishes."""
    caller = Caller()
    caller.receive(LINE_2, 0.0)
    caller.receive(LINE_1, FRAME_IDLE_S)
    caller.wait()

    assert caller.readings == [HEALTH_CARD, ONLY_TRACK_1]


def test_track_1_right_behind_half_a_swipe_is_part_of_it() -> None:
    """The card that was pulled too slowly has been told; its other track is not told again."""
    caller = Caller()
    caller.receive(LINE_2[:20], 0.0)
    caller.pass_time(FRAME_IDLE_S)
    caller.receive(LINE_1, 2 * FRAME_IDLE_S - 0.01)
    caller.receive(LINE_1, 2 * FRAME_IDLE_S)
    caller.wait()

    assert caller.readings == [CUT_OFF, ONLY_TRACK_1]


def test_two_worn_swipes_are_told_twice() -> None:
    """The second red light is not swallowed by the first."""
    caller = Caller()
    for now_s in (0.0, FRAME_IDLE_S + 0.1):
        caller.receive(LINE_1, now_s)
    caller.wait()

    assert caller.readings == [ONLY_TRACK_1, ONLY_TRACK_1]


@pytest.mark.parametrize("before", [LINE_2[:20], LINE_1, b"x" * 300, LINE_2 * 2])
def test_a_lost_line_forgets_everything(before: bytes) -> None:
    """Half a swipe, a held track and unread cards never become a reading later."""
    reader = CardReader(carries_keys=True)
    reader.receive(before, 0.0)
    reader.next_reading(awaiting_pin=False)
    reader.reset()

    assert reader.deadline_s is None
    assert reader.next_reading(awaiting_pin=False) is None
    reader.receive(b"3000001234\r", 0.0)
    assert reader.next_reading(awaiting_pin=False) == PLASTIC_CARD


def test_a_lost_line_forgets_that_a_card_was_read() -> None:
    """Track 1 of the next swipe is not taken for the last one's."""
    caller = Caller()
    caller.receive(LINE_2, 0.0)
    caller.reader.reset()
    caller.receive(LINE_1, 0.1)
    caller.wait()

    assert caller.readings == [HEALTH_CARD, ONLY_TRACK_1]


def test_a_caller_that_never_pulls_loses_bytes_not_memory() -> None:
    """What piles up is given up as one unreadable, and no card is made of the rest."""
    reader = CardReader(carries_keys=False)
    tracemalloc.start()
    for _ in range(100_000):
        reader.receive(b"3000001234", 0.0)
        reader.pass_time(0.0)
        reader.pass_time(0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000

    reader.receive(b"x" * MAX_BACKLOG_BYTES, 0.0)
    assert reader.next_reading(awaiting_pin=False) == TOO_LONG
    assert reader.next_reading(awaiting_pin=False) is None
    reader.receive(b"3000001234\r\r3000001234\r", 0.0)
    assert reader.next_reading(awaiting_pin=False) == PLASTIC_CARD
    assert reader.next_reading(awaiting_pin=False) is None


def test_a_full_backlog_is_still_read() -> None:
    """Several chunks may wait; only a byte more than the bound gives them up."""
    line = b"3000001234\r"
    rest = b"\r" * (MAX_BACKLOG_BYTES - len(line))
    reader = CardReader(carries_keys=False)
    reader.receive(line, 0.0)
    reader.receive(rest, 0.0)
    assert reader.next_reading(awaiting_pin=False) == PLASTIC_CARD
    assert reader.next_reading(awaiting_pin=False) is None

    reader.receive(line, 0.0)
    reader.receive(rest + b"\r", 0.0)
    assert reader.next_reading(awaiting_pin=False) == TOO_LONG
    assert reader.next_reading(awaiting_pin=False) is None


def test_time_that_nobody_pulls_costs_no_memory() -> None:
    """Of several moments without a byte between them the last one counts."""
    reader = CardReader(carries_keys=False)
    reader.receive(b"%half", 0.0)
    tracemalloc.start()
    for tick in range(20_000):
        reader.pass_time(tick * 0.001)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 100_000
    assert reader.next_reading(awaiting_pin=False) == CUT_OFF
    assert reader.next_reading(awaiting_pin=False) is None


def test_an_endless_line_costs_no_memory() -> None:
    """A line that never ends is held no longer than a frame."""
    caller = Caller(carries_keys=True, awaiting_pin=True)
    tracemalloc.start()
    for _ in range(1_000):
        caller.receive(b"12345678" * 12, 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert caller.readings == [TOO_LONG]
    assert peak < 100_000


def test_bytes_at_later_times_are_still_one_frame() -> None:
    """At 9600 baud a stripe takes 0.12 s; pauses shorter than the idle time are no end."""
    caller = Caller()
    for number, byte in enumerate(byte_by_byte(STRIPE + b"\r")):
        caller.receive(byte, number * 0.1)

    assert caller.readings == [HEALTH_CARD]


@pytest.mark.parametrize("card", [STRIPE, LINE_2[:-1], b"3000001234", b"]C03000001234"])
def test_a_reader_without_a_terminator_is_read_when_it_falls_silent(card: bytes) -> None:
    """After the frame's idle time and not before; what is no whole card was cut off."""
    caller = Caller()
    caller.receive(card, 1.0)
    caller.pass_time(1.0 + FRAME_IDLE_S - 0.01)
    assert caller.readings == []

    caller.pass_time(1.0 + FRAME_IDLE_S)
    assert caller.readings == [HEALTH_CARD if TRACK_2 in card else PLASTIC_CARD]
