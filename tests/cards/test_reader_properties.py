"""For every byte string, time and chunking."""

from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.reader import BURST_GAP_S, FRAME_IDLE_S
from doorctl.core.masked import CardRead, KeyPressed, Reading
from tests.cards.samples import HEALTH_CARD, STRIPE, TRACK_1, TRACK_2, Caller, card, pressed

PIECES = st.sampled_from(
    [
        STRIPE,
        TRACK_1,
        TRACK_2,
        b";" + TRACK_2 + b"?",
        b"%" + TRACK_1 + b"?",
        b"+123?",
        b"3000001234",
        b"010170-1234",
        b"4711",
        b"x" * 300,
        b"\r",
        b"\n",
        b"\x02",
        b"\x03",
    ]
)
SWIPES = st.lists(PIECES | st.binary(max_size=8), max_size=8).map(b"".join)
GAPS = st.sampled_from([0.0, 0.016, BURST_GAP_S, 0.2, FRAME_IDLE_S, 2.0])
SESSIONS = st.lists(st.tuples(GAPS, SWIPES), max_size=5)


def read(
    session: list[tuple[float, list[bytes]]], *, carries_keys: bool, awake: bool = True
) -> list[Reading]:
    """Play a session: pauses and the chunks that come after each, then all deadlines."""
    caller = Caller(carries_keys=carries_keys)
    now_s = 0.0
    for gap_s, chunks in session:
        now_s += gap_s
        while awake and (due_s := caller.reader.deadline_s) is not None and due_s <= now_s:
            caller.pass_time(due_s)
        for chunk in chunks:
            caller.receive(chunk, now_s)
    caller.wait()
    return caller.readings


@given(SESSIONS, st.booleans(), st.data())
def test_every_chunking_reads_the_same(
    session: list[tuple[float, bytes]], carries_keys: bool, data: st.DataObject
) -> None:
    """Where the bytes are cut never matters, only when they come."""
    whole = [(gap_s, [swipe]) for gap_s, swipe in session]
    single = [(gap_s, [bytes([byte]) for byte in swipe]) for gap_s, swipe in session]
    cut = []
    for gap_s, swipe in session:
        at = data.draw(st.integers(0, len(swipe)))
        cut.append((gap_s, [swipe[:at], swipe[at:]]))

    readings = read(whole, carries_keys=carries_keys)
    assert read(single, carries_keys=carries_keys) == readings
    assert read(cut, carries_keys=carries_keys) == readings


@given(SESSIONS, st.booleans())
def test_waking_at_deadlines_or_late_reads_the_same(
    session: list[tuple[float, bytes]], carries_keys: bool
) -> None:
    """A busy caller hears later, not otherwise."""
    whole = [(gap_s, [swipe]) for gap_s, swipe in session]

    awake = read(whole, carries_keys=carries_keys)
    assert read(whole, carries_keys=carries_keys, awake=False) == awake


@given(st.binary(max_size=600), st.booleans())
def test_after_any_bytes_the_next_card_reads(data: bytes, carries_keys: bool) -> None:
    """Nothing raises, nothing is shown, and half a second later the reader is as good as new."""
    caller = Caller(carries_keys=carries_keys)
    caller.receive(data, 0.0)
    caller.wait()
    before = caller.readings.copy()
    assert carries_keys or not any(isinstance(reading, KeyPressed) for reading in before)
    assert not any(
        digit in repr(before).replace("TRACK_1", "").replace("track_1", "") for digit in "023456789"
    )

    caller.receive(STRIPE + b"\r", 10.0)
    caller.wait()
    assert caller.readings == [*before, HEALTH_CARD]


@given(
    st.text("0123456789", min_size=5, max_size=24),
    st.booleans(),
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\t", b"\x03"]),
    st.data(),
)
def test_a_code_39_in_one_burst_is_a_card_on_the_keys_line_too(
    number: str, awaiting_pin: bool, end: bytes, data: st.DataObject
) -> None:
    """However its bytes are cut, and whether or not a PIN is awaited: its stars are no keys.

    Bug (mission review): on a line that carries keys too, a card in Code 39's stars
    (`*3000001234*`) was taken for keys and lost.
    """
    caller = Caller(carries_keys=True, awaiting_pin=awaiting_pin)
    now_s, rest = 1.0, b"*" + number.encode() + b"*" + end
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        caller.receive(rest[:size], now_s)
        rest, now_s = rest[size:], now_s + data.draw(st.sampled_from([0.0, 0.016, 0.029]))
    caller.receive(b"4711", now_s + 1.0)
    caller.wait()
    first, *keys = caller.readings

    assert isinstance(first, CardRead)
    assert card(number) in first.identifiers
    assert keys == pressed("4711")


@given(st.text("0123456789#*", max_size=30), st.lists(GAPS, min_size=30, max_size=30))
def test_keys_alone_are_never_more_than_were_pressed(keys: str, gaps: list[float]) -> None:
    """However fast, no key is doubled, reordered or made a card without a line end."""
    caller = Caller(carries_keys=True, awaiting_pin=True)
    now_s = 0.0
    for gap_s, key in zip(gaps, keys, strict=False):
        now_s += gap_s
        caller.receive(key.encode(), now_s)
    caller.wait()

    told = [reading.key for reading in caller.readings if isinstance(reading, KeyPressed)]
    rest = iter(keys)
    assert all(key in rest for key in told)
    assert not any(isinstance(reading, CardRead) for reading in caller.readings)
