"""Key events to text: both layouts, what four scanners press, and what is no text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.framing import FRAME_IDLE_S
from doorctl.cards.identify import MAX_FRAME_BYTES
from doorctl.cards.keys import KeypadLine
from doorctl.core.readings import CardRead
from doorctl.extras.usb.keys import QUIET_S, KeyedText
from doorctl.extras.usb.layouts import LAYOUTS
from doorctl.extras.usb.records import InputEvent
from tests.cards.samples import Caller
from tests.fakes.keyboard import (
    ALT,
    ALTGR,
    BACKSPACE,
    CHORDS,
    CTRL,
    DELETE,
    ENTER,
    ESC,
    EV_KEY,
    EV_SYN,
    NUMBER_PAD,
    SHIFT,
    SPACE,
    Record,
    chord,
    moved,
    typed,
)

CAPS_LOCK, NUM_LOCK, SCROLL_LOCK, META = 58, 69, 70, 125
F8, DOWN, VOLUME_UP = 66, 108, 115

DROPPED: Record = (EV_SYN, 3, 0)


def text_of(layout: str = "danish", *, is_keypad: bool = False) -> KeyedText:
    """Return a device without keys so far."""
    return KeyedText(LAYOUTS[layout], is_keypad=is_keypad)


def heard(events: Iterable[Record], text: KeyedText | None = None) -> bytes:
    """Return what a device hands on."""
    text = text or text_of()
    return b"".join(text.take(InputEvent(*event)) for event in events)


def quiet_s(text: KeyedText) -> float | None:
    """Return what a device waits for now."""
    return text.quiet_s


def tapped(*codes: int) -> list[Record]:
    """Return keys that are pressed and released one after another."""
    return [event for code in codes for event in chord(code)]


EACH = [(layout, character) for layout, chords in CHORDS.items() for character in chords]


@pytest.mark.parametrize(("layout", "character"), EACH)
def test_each_character_of_each_layout(layout: str, character: str) -> None:
    """As xkb's dk and us have it; a dead key of the Danish one with its Space is one character."""
    events = [*typed(character, layout), *chord(ENTER)]
    expected = character.encode("latin-1")
    found = heard(events, text_of(layout))

    # What ends a text is handed on by itself, and the Enter behind it alone.
    assert found == expected + b"\r"


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.sampled_from(sorted(LAYOUTS)))
def test_any_text_that_a_scanner_can_send_arrives(text: str, layout: str) -> None:
    """What the layout lacks comes by Alt and the character's number, as Zebra's scanners do."""
    read = text_of(layout)

    assert heard(typed(text, layout), read) + read.rest() == text.encode("latin-1")


@given(st.lists(st.tuples(st.integers(0, 0x2FF), st.integers(-1, 3)), max_size=80))
def test_any_keys_at_all_are_text_or_nothing(moves: list[tuple[int, int]]) -> None:
    """Nothing is raised, no text grows without end, and with all keys up the next card is read."""
    text = text_of()
    for code, value in moves:
        for event in moved(code, value):
            assert len(text.take(InputEvent(*event))) <= MAX_FRAME_BYTES
    up = [
        event for code in (SHIFT, 54, CTRL, 97, ALT, ALTGR, META, 126) for event in moved(code, 0)
    ]
    heard([*up, *chord(ENTER)], text)

    assert heard(typed("3000001234\r"), text) == b"3000001234\r"


@given(st.text("0123456789ABCabc-", max_size=30))
def test_repeats_and_releases_are_nothing(text: str) -> None:
    """A key that is held long is one key; releases come in any order."""
    events = [
        each
        for event in typed(text + "\r")
        for each in ([event] * 3 if event[2] == 0 else [event, (*event[:2], 2), (*event[:2], 2)])
    ]

    assert heard(events) == text.encode() + b"\r"


@pytest.mark.parametrize("shift", [SHIFT, 54])
def test_shift_holds_as_long_as_it_is_down(shift: int) -> None:
    """Over several keys, by its repeats too, and as the other Shift where both are down."""
    events = [
        *moved(shift, 1),
        *tapped(30),
        *moved(shift, 2),
        *tapped(48),
        *moved(shift ^ SHIFT ^ 54, 1),
        *moved(shift, 0),
        *tapped(46),
        *moved(shift ^ SHIFT ^ 54, 0),
        *tapped(32, ENTER),
    ]

    assert heard(events) == b"ABCd\r"


@pytest.mark.parametrize("locks", [[], [NUM_LOCK], [SCROLL_LOCK], [SHIFT]])
def test_the_numeric_keypad_is_digits_whatever_numlock_says(locks: list[int]) -> None:
    """Some devices press NumLock around each digit, and some hold Shift."""
    events: list[Record] = []
    for each in "0123456789*-+./\r":
        for lock in locks:
            events += moved(lock, 1)
        events += chord(NUMBER_PAD[each])
        for lock in locks:
            events += moved(lock, 0)

    assert heard(events) == b"0123456789*-+./\r"
    assert heard(tapped(*range(0x200, 0x20C), ENTER)) == b"0123456789*#\r"


def test_caps_lock_turns_letters_alone() -> None:
    """With Shift it gives small ones again; digits and marks stay, and so do other modifiers."""
    caps = tapped(CAPS_LOCK)

    assert heard([*caps, *typed("aB1;æ"), *caps, *typed("aB\r")]) == "Ab1;ÆaB\r".encode("latin-1")


@pytest.mark.parametrize(
    ("code", "byte"), [(BACKSPACE, b"\b"), (ESC, b"\x1b"), (DELETE, b"\x7f"), (96, b"\r")]
)
def test_a_keypads_clear_and_enter_are_known(code: int, byte: bytes) -> None:
    """They give the bytes that `keypad.clear` and `keypad.enter` have by default."""
    text = text_of(is_keypad=True)
    found = heard(tapped(code), text)
    pressed, unknown = KeypadLine().receive(found, 1.0)

    assert found == byte
    assert [key.key for key in pressed] == ["#" if byte == b"\r" else "*"]
    assert not unknown


def test_a_keypads_keys_are_handed_on_one_by_one() -> None:
    """Each with its press, and nothing waits for a release, an Enter or a pause."""
    text = text_of(is_keypad=True)

    for digit in "4711":
        press, release = ([*moved(NUMBER_PAD[digit], value)] for value in (1, 0))
        assert heard(press, text) == digit.encode()
        assert quiet_s(text) is None
        assert heard(release, text) == b""


def test_a_scanners_text_is_handed_on_whole() -> None:
    """At Enter, at another end, or once the scanner without any is quiet."""
    text = text_of()
    assert heard(typed("30000"), text) == b""
    assert quiet_s(text) == QUIET_S
    assert heard(typed("01234\r"), text) == b"3000001234\r"
    assert heard(typed("3000001234\t"), text) == b"3000001234\t"
    heard(typed("3000001234"), text)
    assert text.rest() == b"3000001234"
    assert quiet_s(text) is None
    assert heard(typed("1\r"), text) == b"1\r"


def test_a_text_without_an_end_is_bounded() -> None:
    """As long as the longest frame it is handed on, and refused behind."""
    text = text_of()
    found = heard(typed("7" * (MAX_FRAME_BYTES + 3)), text)

    assert found == b"7" * MAX_FRAME_BYTES
    assert text.rest() == b"777"


@pytest.mark.parametrize("is_keypad", [False, True])
def test_what_the_kernel_has_lost_is_dropped_up_to_the_next_enter(is_keypad: bool) -> None:
    """Half a card is none: neither what came before nor what comes behind is read."""
    text = text_of(is_keypad=is_keypad)
    heard(typed("30000"), text)

    assert heard([DROPPED, *typed("01234")], text) == b""
    assert quiet_s(text) == FRAME_IDLE_S
    assert heard(typed("56\r"), text) == b""
    assert quiet_s(text) is None
    assert heard(typed("3000009999\r"), text) == b"3000009999\r"


def test_what_was_dropped_ends_with_quiet_too() -> None:
    """A scanner without an end, and a keypad at which nobody presses Enter, are heard again."""
    text = text_of(is_keypad=True)
    heard([DROPPED, *typed("47")], text)

    assert text.rest() == b""
    assert heard(typed("4711"), text) == b"4711"


@pytest.mark.parametrize("code", [SHIFT, CTRL, ALT, ALTGR, META])
def test_a_modifier_whose_release_is_lost_is_up(code: int) -> None:
    """Else every card behind it would be another text."""
    text = text_of()
    lost = [*moved(code, 1), *tapped(CAPS_LOCK), DROPPED, *chord(ENTER)]

    assert heard([*lost, *typed("3000001234ab\r")], text) == b"3000001234ab\r"


def test_a_number_behind_alt_is_one_whatever_else_is_released() -> None:
    """It ends with Alt; the next begins anew, and Alt alone is nothing."""
    pad = [NUMBER_PAD[digit] for digit in "065"]
    number = [*moved(ALT, 1), *tapped(pad[0]), *tapped(SHIFT), *tapped(*pad[1:]), *moved(ALT, 0)]

    assert heard([*number, *moved(ALT, 1), *moved(ALT, 0), *number, *typed("\r")]) == b"AA\r"


@pytest.mark.parametrize(
    "keys",
    [
        tapped(F8),
        tapped(VOLUME_UP),
        [*chord(CTRL, 2)],
        [*moved(META, 1), *tapped(30), *moved(META, 0)],
        [*chord(ALT, 30)],
        [
            *moved(ALT, 1),
            *tapped(NUMBER_PAD["9"], NUMBER_PAD["9"], NUMBER_PAD["9"]),
            *moved(ALT, 0),
        ],
    ],
    ids=["f8", "volume", "ctrl", "meta", "alt", "alt-999"],
)
def test_a_key_without_a_character_leaves_a_hole(keys: list[Record]) -> None:
    """Honeywell's scanners press F8 for a group separator: what stands around it is no number.

    In front of a text and behind it, it is nothing, and on a keypad too.
    """
    inside = heard([*typed("3000"), *keys, *typed("001234\r")])
    around = heard([*keys, *typed("3000001234"), *keys, *typed("\r")])
    line = Caller(carries_keys=False)
    line.receive(inside, 0.0)

    assert inside == b"3000\x1a001234\r"
    assert not any(isinstance(reading, CardRead) for reading in line.readings)
    assert around == b"3000001234\r"
    assert heard([*typed("47"), *keys, *typed("11")], text_of(is_keypad=True)) == b"4711"


@pytest.mark.parametrize("keys", [[*chord(ALTGR, 30)], [*chord(SHIFT, ALTGR, 3)]])
def test_altgr_without_a_character_is_a_hole_in_front_too(keys: list[Record]) -> None:
    """A scanner that is set to another layout writes the bracket of an AIM mark by it."""
    assert heard([*keys, *typed("C03000001234\r")]) == b"\x1aC03000001234\r"
    assert heard([*typed("3000"), *keys, *typed("001234\r")]) == b"3000\x1a001234\r"
    assert heard([*typed("3000001234"), *keys, *typed("\r")]) == b"3000001234\r"
    assert heard([*typed("47"), *keys, *typed("11")], text_of(is_keypad=True)) == b"4711"


def test_control_and_a_letter_is_a_control_character() -> None:
    """Zebra's scanners send STX, LF and the group separator so; Ctrl and Alt together are AltGr."""
    events = [*chord(CTRL, 48), *chord(CTRL, 27), *chord(CTRL, 46)]
    assert heard(events, text_of("us")) == b"\x02\x1d\x03"
    outermost = [*chord(CTRL, SHIFT, 3), *chord(CTRL, SHIFT, 12)]
    text = text_of("us")
    assert heard(outermost, text) + text.rest() == b"\x00\x1f"
    assert heard([*typed("1\r"), *chord(CTRL, 36)]) == b"1\r\n"
    both = [*moved(CTRL, 1), *chord(ALT, 3), *moved(CTRL, 0), *typed("\r")]
    assert heard(both) == b"@\r"


def test_a_dead_key_swallows_its_own_space_alone() -> None:
    """A letter behind it stands beside it; the next Space is a blank."""
    assert heard([*chord(SHIFT, 27), *typed("a b\r")]) == b"^a b\r"
    assert heard([*chord(SHIFT, 27), *tapped(SPACE, SPACE, ENTER)]) == b"^ \r"
    assert heard([*chord(SHIFT, 7), *tapped(SPACE, ENTER)], text_of("us")) == b"^ \r"


# How four scanners press a card's number, in the manner of their manuals' keyboard mode.


def honeywell(card: str) -> list[Record]:
    """AIM's mark in front by AltGr, Shift around each capital, Enter; keys overlap."""
    events: list[Record] = []
    held: int | None = None
    for each in f"]C0{card}":
        *modifiers, code = CHORDS["danish"][each]
        press = [*(event for key in modifiers for event in moved(key, 1)), *moved(code, 1)]
        # The next key goes down before the last one is up, except for the same key.
        if held is not None and held == code:
            press = [*moved(held, 0), *press]
        elif held is not None:
            press += moved(held, 0)
        events += press
        events += (event for key in reversed(modifiers) for event in moved(key, 0))
        held = code
    assert held is not None
    return [*events, *moved(held, 0), *chord(ENTER)]


def zebra(card: str) -> list[Record]:
    """Every character by Alt and its number on the numeric keypad; Enter."""
    events: list[Record] = []
    for each in card:
        number = [NUMBER_PAD[digit] for digit in f"0{ord(each):03d}"]
        events += [*moved(ALT, 1), *tapped(*number), *moved(ALT, 0)]
    return [*events, *chord(ENTER)]


def datalogic(card: str) -> list[Record]:
    """Code 39 between its stars, digits of the numeric keypad with NumLock around; Enter."""
    events = [*typed("*"), *tapped(NUM_LOCK)]
    for each in card:
        events += chord(NUMBER_PAD[each]) if each in NUMBER_PAD else typed(each)
    return [*events, *tapped(NUM_LOCK), *typed("*"), *chord(NUMBER_PAD["\r"])]


def newland(card: str) -> list[Record]:
    """Caps Lock around capitals, CR and LF, the key of a long press repeated by the kernel."""
    events: list[Record] = []
    for each in card:
        if each.isupper():
            events += [
                *tapped(CAPS_LOCK),
                *chord(*CHORDS["danish"][each.lower()]),
                *tapped(CAPS_LOCK),
            ]
        else:
            code = CHORDS["danish"][each][-1]
            events += [*moved(code, 1), (EV_KEY, code, 2), (EV_SYN, 0, 1), *moved(code, 0)]
    return [*events, *chord(ENTER), *chord(CTRL, 36)]


@pytest.mark.parametrize("scanner", [honeywell, zebra, datalogic, newland])
@pytest.mark.parametrize("card", ["3000001234", "0101701234", "AB12300004567", "010170-1234"])
def test_a_card_that_a_scanner_presses_is_the_card(
    scanner: Callable[[str], list[Record]], card: str
) -> None:
    """The same as from that scanner's serial line, once and whole, however many times."""
    usb, serial = Caller(carries_keys=False), Caller(carries_keys=False)
    text = text_of()
    for at_s in (1.0, 5.0):
        usb.receive(heard(scanner(card), text), at_s)
        serial.receive(card.encode() + b"\r", at_s)
    read = [each.identifiers for each in usb.readings if isinstance(each, CardRead)]
    wanted = [each.identifiers for each in serial.readings if isinstance(each, CardRead)]

    assert len(usb.readings) == len(read) == 2
    assert [set(each) >= set(which) for each, which in zip(read, wanted, strict=True)] == [True] * 2
