"""Both synthetic stripes in every variant that a reader may be set to."""

from itertools import product

import pytest

from tests.cards.samples import (
    HEALTH_CARD,
    TRACK_1,
    TRACK_2,
    TRACK_2_RANDERS,
    byte_by_byte,
    readings_of,
)

TRACKS_2 = (TRACK_2, TRACK_2_RANDERS)
DANISH = (
    TRACK_1,
    TRACK_1.replace(b"DOE^JOHN", b"[\\]^{|}@"),
    TRACK_1.replace(b"]L\\KKE", b"\xc5L\xd8KKE"),
    TRACK_1.replace(b"]L\\KKE  ", "ÅLØKKE".encode()),
)
PREFIXES = (b"", b"M'")
LRCS = (b"", b"5", b"?", b"A", b"\x00", b"\x7f", b"\xff")
ORDERS = ("1 then 2", "2 then 1", "2 alone")
SENTINELS = ("both", "colon", "no end", "none")
FRAMINGS = ((b"", b"\r"), (b"", b"\n"), (b"", b"\r\n"), (b"\x02", b"\x03"), (b"\x02", b"\x03\r\n"))


def track_1(text: bytes, sentinels: str) -> bytes:
    """Dress track 1."""
    return {"none": text, "no end": b"%" + text}.get(sentinels, b"%" + text + b"?")


def track_2(text: bytes, sentinels: str) -> bytes:
    """Dress track 2."""
    dressed = {"none": text, "no end": b";" + text, "colon": b":" + text + b"?"}
    return dressed.get(sentinels, b";" + text + b"?")


def swipe(text_1: bytes, text_2: bytes, order: str, sentinels: str, lrc: bytes) -> bytes:
    """Return one swipe without prefix and framing."""
    first, second = track_1(text_1, sentinels), track_2(text_2, sentinels)
    if order == "1 then 2":
        return first + lrc + second + lrc
    return second + lrc + (first + lrc if order == "2 then 1" else b"")


@pytest.mark.parametrize(("start", "end"), FRAMINGS)
def test_every_way_of_sending_the_stripe_is_one_card(start: bytes, end: bytes) -> None:
    """Order, sentinels, prefix, LRC, letters and framing change nothing; nothing else comes."""
    ways = product(ORDERS, SENTINELS, DANISH, TRACKS_2, PREFIXES, LRCS, (False, True))
    for order, sentinels, text_1, text_2, prefix, lrc, carries_keys in ways:
        line = start + prefix + swipe(text_1, text_2, order, sentinels, lrc) + end

        assert readings_of(line, carries_keys=carries_keys) == [HEALTH_CARD], line


@pytest.mark.parametrize(("start", "end"), FRAMINGS)
@pytest.mark.parametrize("sentinels", SENTINELS)
@pytest.mark.parametrize("order", ORDERS)
def test_a_stripe_reads_whole_byte_by_byte_before_junk_and_twice(
    order: str, sentinels: str, start: bytes, end: bytes
) -> None:
    """Chunks, what follows and what came before do not matter."""
    line = start + swipe(TRACK_1, TRACK_2, order, sentinels, b"") + end

    assert readings_of(line) == [HEALTH_CARD]
    assert readings_of(*byte_by_byte(line)) == [HEALTH_CARD]
    assert readings_of(line + b"\n\r") == [HEALTH_CARD]
    assert readings_of(line + b"!") == [HEALTH_CARD]
    assert readings_of(line + line) == [HEALTH_CARD, HEALTH_CARD]
    assert readings_of(*byte_by_byte(line + line)) == [HEALTH_CARD, HEALTH_CARD]


@pytest.mark.parametrize("carries_keys", [False, True])
@pytest.mark.parametrize(("start", "end"), FRAMINGS)
def test_tracks_on_lines_of_their_own_are_one_card(
    start: bytes, end: bytes, *, carries_keys: bool
) -> None:
    """Track 1 and 3 vanish beside track 2, whichever comes first."""
    ways = product(("both", "none"), (b"", b"5", b";"), ([], [b"+0123456?"]))
    for sentinels, lrc, third in ways:
        lines = [track_1(TRACK_1, sentinels), track_2(TRACK_2, sentinels), *third]
        sent = [start + line + lrc + end for line in lines]

        for ordered in (sent, sent[::-1], sent[1:] + sent[:1]):
            readings = readings_of(b"".join(ordered), carries_keys=carries_keys)

            assert readings == [HEALTH_CARD], ordered


def test_any_byte_may_be_the_lrc_behind_an_etx() -> None:
    """The byte belongs to no frame: the next swipe reads, and no key is pressed."""
    for lrc in range(256):
        line = b"\x02;" + TRACK_2 + b"?\x03" + bytes([lrc])

        assert readings_of(line + line, carries_keys=True) == [HEALTH_CARD] * 2, lrc
        assert readings_of(line + b"\r" + line, carries_keys=False) == [HEALTH_CARD] * 2, lrc
