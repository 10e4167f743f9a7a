"""One line without keys: frames, deadlines, two tracks, loss of the line, hostile senders."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.framing import ANOTHER_S, FRAME_IDLE_S, Framer, as_sent
from doorctl.cards.identify import MAX_FRAME_BYTES
from doorctl.cards.keys import BURST_GAP_S
from doorctl.cards.reader import MAX_BACKLOG_BYTES, CardReader
from doorctl.core.readings import Reading, Shape
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
    Timed,
    Told,
    byte_by_byte,
    readings_of,
    told_when,
)

LINE_1 = b"%" + TRACK_1 + b"?\r"
LINE_2 = b";" + TRACK_2 + b"?\r"
LONGEST = b"x" * MAX_FRAME_BYTES


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
    junk = LONGEST + b"x"

    assert readings_of(junk + LINE_2, carries_keys=carries_keys) == [TOO_LONG]


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        (b"A" * 1_000_000 + b"\r", TOO_LONG),
        (b"\x01\r", GARBAGE),
        (b"\x1b[2J\x1b[31m\r", GARBAGE),
        (b"'; DROP TABLE patrons; --\r", GARBAGE),
        (b"3000001234' OR '1'='1\r", GARBAGE),
        (b"?" + b"\x00" * 40 + b"\r", GARBAGE),
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


IDLE, TICK = FRAME_IDLE_S, 0.01
CARD = b"3000001234"

TIMELINES: dict[str, tuple[Timed, Told]] = {
    "half a swipe is cut off": ([(1.0, STRIPE[:50])], [(1.0 + IDLE, CUT_OFF)]),
    "time may pass with the next bytes": (
        [(1.0, STRIPE[:50]), (1.0 + IDLE, CARD + b"\r")],
        [(1.0 + IDLE, CUT_OFF), (1.0 + IDLE, PLASTIC_CARD)],
    ),
    "too long is too long at the overflow, not at the end": (
        [(0.0, LONGEST + b"x"), (0.1, b"yz\r3000001234\r")],
        [(0.0, TOO_LONG), (0.1, PLASTIC_CARD)],
    ),
    "a card that follows the rest of an endless line is unreadable too": (
        [(0.0, LONGEST + b"x" * 150), (ANOTHER_S, CARD + b"\r"), (0.3, CARD + b"\r")],
        [(0.0, TOO_LONG), (ANOTHER_S, TOO_LONG), (0.3, PLASTIC_CARD)],
    ),
    "and one without an end is, once the line is silent": (
        [(0.0, LONGEST + b"x" * 150), (ANOTHER_S, CARD)],
        [(0.0, TOO_LONG), (ANOTHER_S + IDLE, TOO_LONG)],
    ),
    "track 2 gets as long to follow as a frame's next byte": (
        [(1.0, LINE_1)],
        [(1.0 + IDLE, ONLY_TRACK_1)],
    ),
    "a slow line does not make two readings of one swipe": (
        [(0.0, LINE_1), (IDLE - TICK, LINE_2[:10]), (IDLE + 0.2, LINE_2[10:])],
        [(IDLE + 0.2, HEALTH_CARD)],
    ),
    "track 1 long after a card is a swipe of its own": (
        [(0.0, LINE_2), (IDLE, LINE_1)],
        [(0.0, HEALTH_CARD), (2 * IDLE, ONLY_TRACK_1)],
    ),
    "right behind half a swipe it is part of it": (
        [(0.0, LINE_2[:20]), (2 * IDLE - TICK, LINE_1), (2 * IDLE, LINE_1)],
        [(IDLE, CUT_OFF), (3 * IDLE, ONLY_TRACK_1)],
    ),
    "the second red light is not swallowed by the first": (
        [(0.0, LINE_1), (IDLE, LINE_1)],
        [(IDLE, ONLY_TRACK_1), (2 * IDLE, ONLY_TRACK_1)],
    ),
    "at 9600 baud a stripe takes 0.12 s": (
        [(at / 10, byte) for at, byte in enumerate(byte_by_byte(STRIPE + b"\r"))],
        [(len(STRIPE) / 10, HEALTH_CARD)],
    ),
    **{
        f"without a terminator {what} is read when the line is silent": (
            [(1.0, card)],
            [(1.0 + IDLE, HEALTH_CARD if TRACK_2 in card else PLASTIC_CARD)],
        )
        for what, card in {
            "a stripe": STRIPE,
            "a track 2": LINE_2[:-1],
            "a plastic card": CARD,
            "a barcode": b"]C0" + CARD,
        }.items()
    },
}
"""What comes at which second, and what is told then; the deadline is the caller's to keep."""


@pytest.mark.parametrize(("sent", "told"), TIMELINES.values(), ids=TIMELINES)
def test_what_is_told_at_which_time(sent: Timed, told: Told) -> None:
    """At its deadline and not before."""
    assert told_when(sent, Caller()) == told


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


def frames_of(framer: Framer, data: bytes, now_s: float = 0.0) -> list[bytes | Shape]:
    """Return the frames that `data` completes."""
    taken = [framer.take(byte, now_s) for byte in data]
    return [frame for frame in taken if frame is not None]


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        # CR, LF, CRLF, TAB and STX ... ETX may even be mixed; empty frames vanish.
        *((b"a%bb%b" % (mark, mark), [b"a", b"b"]) for mark in (b"\r", b"\n", b"\t", b"\r\n")),
        (b"\x02a\x03\x02b\x03", [b"a", b"b"]),
        (b"\r\n\x02a\x03\r\r\x02b\n", [b"a", b"b"]),
        # An STX starts afresh: what came before it was never ended, so it was no frame.
        (b"half a frame\x02a\x03", [b"a"]),
        # The bound is exact, told once, and what follows up to the terminator is thrown away.
        (LONGEST + b"\r", [LONGEST]),
        (LONGEST + b"x", [Shape.TOO_LONG]),
        (LONGEST + b"xyz" + LONGEST + b"\ra\r", [Shape.TOO_LONG, b"a"]),
        (LONGEST + b"xyz\x02a\r", [Shape.TOO_LONG, b"a"]),
    ],
)
def test_the_frames_of_what_is_sent(data: bytes, frames: list[bytes | Shape]) -> None:
    """Each is told once, as it ends."""
    assert frames_of(Framer(), data) == frames


def test_an_lrc_behind_an_etx_is_no_frame() -> None:
    """It vanishes before a terminator, and after a moment by itself."""
    framer = Framer()

    assert frames_of(framer, b"\x02a\x03L\r") == [b"a"]
    assert frames_of(framer, b"\x02a\x03L") == [b"a"]
    assert framer.deadline_s == BURST_GAP_S
    assert framer.expire(BURST_GAP_S) is None
    assert not framer.is_open


def test_a_byte_long_after_an_etx_is_no_lrc() -> None:
    """An LRC follows at once; what comes later begins a frame."""
    framer = Framer()
    frames_of(framer, b"\x02a\x03")

    assert frames_of(framer, b"b\r", BURST_GAP_S) == [b"b"]


@given(st.binary(max_size=9) | st.text("xy\r\x02\x03", max_size=9).map(str.encode))
def test_skipping_is_taking_at_once(data: bytes) -> None:
    """The rest of a frame that was too long ends in the same place, taken or skipped."""
    taking, skipping = Framer(), Framer()
    for framer in (taking, skipping):
        frames_of(framer, LONGEST + b"x")
    skipped = skipping.skip(data, 0, 1.0)

    assert frames_of(taking, data[:skipped], 1.0) == []
    assert taking.deadline_s == skipping.deadline_s
    assert frames_of(taking, data[skipped:], 1.0) == frames_of(skipping, data[skipped:], 1.0)
    assert data[skipped : skipped + 1] in {b"", b"\r", b"\n", b"\t", b"\x02", b"\x03"}


def test_nothing_of_a_frame_is_skipped() -> None:
    """Between frames and within one that may still be good every byte counts."""
    framer = Framer()
    assert framer.skip(b"a\r", 0, 0.0) == 0
    framer.take(ord("a"), 0.0)
    assert framer.skip(b"b\r", 0, 0.0) == 0


def test_nothing_of_a_frame_that_was_too_long_is_taken() -> None:
    """Neither byte by byte nor at once: what follows is no frame of its own."""
    framer = Framer()
    frames_of(framer, LONGEST + b"x")

    assert framer.take_run(b"3000001234\r", 0, 10, 0.0) == 0
    assert framer.held == b""


def test_discarding_ends_when_the_line_is_silent() -> None:
    """A sender without terminators does not make the reader deaf for good."""
    framer = Framer()
    frames_of(framer, LONGEST + b"x", 1.0)

    assert framer.expire(1.0 + FRAME_IDLE_S) is None
    assert frames_of(framer, b"a\r", 2.0) == [b"a"]


@pytest.mark.parametrize(("start", "ended"), [(b"", b"ab"), (b"\x02", Shape.CUT_OFF)])
def test_a_frame_that_gets_no_more_bytes_is_over(start: bytes, ended: object) -> None:
    """The time runs from its last byte; one that an STX began lacks its ETX."""
    framer = Framer()
    frames_of(framer, start, 1.0)
    framer.take(ord("a"), 1.0)
    framer.take(ord("b"), 1.25)

    assert framer.deadline_s == 1.25 + FRAME_IDLE_S
    assert framer.expire(1.25 + FRAME_IDLE_S - 0.01) is None
    assert framer.is_open
    assert framer.expire(1.25 + FRAME_IDLE_S) == ended
    assert framer.deadline_s is None


@pytest.mark.parametrize("leftover", [b"\x02", b"L", b"\x02L"])
def test_a_leftover_is_dropped_silently(leftover: bytes) -> None:
    """One byte is an LRC or noise, no swipe."""
    framer = Framer()
    frames_of(framer, leftover)

    assert framer.expire(FRAME_IDLE_S) is None
    assert not framer.is_open


@given(st.binary())
def test_no_more_than_one_frame_is_ever_held(data: bytes) -> None:
    """Whatever comes, the buffer is bounded and each frame has at most its length."""
    framer = Framer()

    for frame in frames_of(framer, data * 20):
        assert isinstance(frame, Shape) or 0 < len(frame) <= MAX_FRAME_BYTES
    assert len(framer.held) <= MAX_FRAME_BYTES


def test_as_new_nothing_is_open_and_nothing_is_due() -> None:
    """Before the first byte, and after a line was lost."""
    lost = Framer()
    frames_of(lost, b"half a frame")
    lost.forget()

    for framer in (Framer(), lost):
        assert (framer.is_open, framer.held, framer.deadline_s) == (False, b"", None)
        assert framer.expire(1e9) is None


def test_the_rest_of_a_frame_that_was_too_long_is_skipped_from_where_one_stands() -> None:
    """A terminator that lies before counts for nothing; the next one stays to be taken."""
    framer = Framer()
    framer.overflow(0.0)

    assert framer.skip(b"a\rbcd\re", 2, 1.0) == 3
    assert framer.skip(b"a\rbcd\re", 5, 1.0) == 0
    assert framer.deadline_s == 1.0 + FRAME_IDLE_S


def test_a_run_is_taken_at_once_and_never_one_byte_too_many() -> None:
    """What is taken is held, and counted; one byte more is for :meth:`Framer.take` to tell of."""
    framer = Framer()

    assert framer.take_run(b"..abc\r", 2, 5, 0.0) == 3
    assert (framer.held, framer.is_open) == (b"abc", True)
    longest = LONGEST + b"x"
    assert framer.take_run(longest, 0, len(longest), 0.0) == MAX_FRAME_BYTES - 3
    assert framer.take_run(longest, 0, len(longest), 0.0) == 0


def test_a_run_of_one_byte_long_after_an_etx_is_no_lrc() -> None:
    """It is awaited as long as any frame is.

    Bug (mutation): no test of its own noticed that what is left of a frame too long is skipped
    from the wrong place, or that a lone byte long after an ETX is no LRC (gaps in tests).
    """
    framer = Framer()
    frames_of(framer, b"\x02a\x03")

    framer.take_run(b"b", 0, 1, 1.0)

    assert framer.deadline_s == 1.0 + FRAME_IDLE_S


@given(st.binary(min_size=1).map(lambda data: bytes(byte & 0x7F for byte in data)))
def test_a_parity_is_seen_in_what_was_taken_for_eight_bits(sent: bytes) -> None:
    """Seven bits and a parity give eight, of one parity each; without any the bytes are as sent."""
    even, odd = (
        bytes(byte | 0x80 if byte.bit_count() % 2 != parity else byte for byte in sent)
        for parity in (0, 1)
    )

    assert as_sent(sent) == ("8N1", sent)
    for bits, taken in (("7E1", even), ("7O1", odd)):
        assert as_sent(taken) == (bits if max(taken) > 0x7F else "8N1", sent)


def test_bytes_of_both_parities_are_taken_as_they_are() -> None:
    """They are eight bits, or of another speed; and nothing at all is nothing."""
    assert as_sent(b"\x80\x81") == ("8N1", b"\x80\x81")
    assert as_sent(b"") == ("8N1", b"")
