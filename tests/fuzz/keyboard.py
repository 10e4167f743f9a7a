"""A USB scanner's and a USB keypad's records: any bytes, as a broken device may send them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from doorctl.cards.identify import MAX_FRAME_BYTES
from doorctl.extras.usb.keys import KeyedText
from doorctl.extras.usb.layouts import LAYOUTS
from doorctl.extras.usb.records import EVENT, InputEvent, Records
from tests.fakes.keyboard import ALT, ALTGR, CTRL, ENTER, SHIFT, chord, moved, records, typed

CARD = "3000001234\r"

SEEDS = tuple(
    records(typed(text, layout))
    for text in (CARD, "]C03000001234\r", "%NAVN^1?;3000001234?\r\n", "010170-1234AB\t", "4711")
    for layout in LAYOUTS
)
WORDS = (
    *(records(chord(*codes)) for codes in ((ENTER,), (SHIFT, 30), (ALTGR, 9), (CTRL, 27), (58,))),
    *(records(moved(code, value)) for code in (SHIFT, CTRL, ALT, ALTGR) for value in (0, 1, 2)),
    records([(0, 3, 0)]),
    records([(2, 0, -5)]),
    records(moved(66, 1)),
    records(moved(0x2FF, 1)),
    b"\x00" * EVENT.size,
    b"\xff" * EVENT.size,
    b"\x01",
)
LONGEST = 200 * EVENT.size

MODIFIERS = (SHIFT, 54, CTRL, 97, ALT, ALTGR, 125, 126)


def check(data: bytes) -> None:
    """Check one stream: its cuts, what is held, and the next card once every modifier is up."""
    random = Random(len(data))  # noqa: S311 - where it is cut must only be the same each time
    whole = [*Records().cut(data)]
    cutter = Records()
    assert [each for piece in _pieces(data, random) for each in cutter.cut(piece)] == whole
    for layout in LAYOUTS.values():
        for is_keypad in (False, True):
            _check_text(whole, KeyedText(layout, is_keypad=is_keypad), is_keypad=is_keypad)


def _check_text(events: list[InputEvent], text: KeyedText, *, is_keypad: bool) -> None:
    for event in events:
        assert len(text.take(event)) <= (1 if is_keypad else MAX_FRAME_BYTES), "too much at once"
        assert not (is_keypad and text.rest()), "a keypad's key waits"
    up = [event for code in MODIFIERS for event in moved(code, 0)]
    _heard(text, [*up, *chord(ENTER)])
    assert text.quiet_s is None, "something waits behind Enter"
    assert _heard(text, [*typed(CARD, "us")]) == CARD.encode(), "the next card is not read"


def _heard(text: KeyedText, events: list[tuple[int, int, int]]) -> bytes:
    return b"".join(text.take(InputEvent(*event)) for event in events)


def _pieces(data: bytes, random: Random) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = start + 1 + int(random.random() ** 3 * 150)
        yield data[start:end]
        start = end
