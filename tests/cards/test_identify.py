"""Bugs that were found.

Bug (fuzzing): a scanner's AIM prefix in the middle of junk was cut out of it, and what was left was
a card that nobody sent.
"""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.identify import MAX_FRAME_BYTES, identify, normalise
from doorctl.cards.numbers import birth_date, is_cpr
from doorctl.core.readings import CardRead, Reading
from tests.cards.samples import (
    BAD_DATE,
    CUT_OFF,
    GARBAGE,
    HEALTH_CARD,
    ONLY_TRACK_1,
    PLASTIC_CARD,
    STRIPE,
    TRACK_1,
    TRACK_2,
    TRACK_2_RANDERS,
    TRACK_3,
    byte_by_byte,
    readings_of,
)
from tests.fakes.cards import cpr, plastic

BAD_TRACK_2 = TRACK_2.replace(b"010170", b"320170")


@pytest.mark.parametrize(
    "number",
    ["0042", "00042", "3000001234", "Ab3d5", "X0042X", "AB-12-cd", "123456789012345678901234"],
)
def test_a_plastic_card_is_its_exact_text(number: str) -> None:
    """Leading zeros, case, inner hyphens and every length from 4 to 24 are kept."""
    assert identify(number.encode()) == CardRead((plastic(number),))


WOKEN = b"\x00"
"""What some readers send as they wake up."""


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        *(
            pytest.param(
                text.encode(),
                CardRead((plastic(text), cpr("0101701234"))),
                id="a barcode may be both",
            )
            for text in ("0101701234", "01017012347", "0101701234K", "0101701234K7")
        ),
        *(
            pytest.param(text, CardRead((cpr("0101701234"),)), id="with a hyphen it is no card")
            for text in (b"010170-1234", b"010170-12347", b"010170-1234K7")
        ),
        *(
            pytest.param(text, CardRead((cpr("0101701234"),)), id="nor with a blank")
            for text in (b"010170 1234", b" 010170 1234 ", b"010170 12347", b"]C0010170 1234")
        ),
        *(
            pytest.param(text, GARBAGE, id="a blank elsewhere")
            for text in (b"010170  1234", b"0101 701234", b"010170 -1234", b"3000 001234")
        ),
        pytest.param(b"320170 1234", BAD_DATE, id="a blank, but no date"),
        pytest.param(b"3201701234", CardRead((plastic("3201701234"),)), id="no date, so a card"),
        pytest.param(b"320170-1234", BAD_DATE, id="meant as a CPR number"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b" \t ", None, id="blanks"),
        pytest.param(WOKEN, None, id="a reader that woke up"),
        pytest.param(b"  3000001234 ", PLASTIC_CARD, id="padded"),
        pytest.param(WOKEN + STRIPE, HEALTH_CARD, id="woken by a stripe"),
        pytest.param(WOKEN * 2 + b"3000001234", PLASTIC_CARD, id="woken by a card"),
        pytest.param(b";3000001234=?", PLASTIC_CARD, id="ISO/IEC 7813: a separator"),
        pytest.param(b";3000001234=99121010000012300000?", PLASTIC_CARD, id="and a date"),
        pytest.param(b";3000001234=9912=1?", PLASTIC_CARD, id="and what the issuer likes"),
    ],
)
def test_how_a_frame_reads(frame: bytes, read: Reading | None) -> None:
    """The exact card number goes first; a length tells nothing about a card."""
    assert identify(frame) == read


@pytest.mark.parametrize(
    "frame",
    [
        *(b"123", b"1234567890123456789012345", b"-1234", b"1234-", b"12--34"),
        *(b"'; DROP TABLE patrons; --", b"../../etc/passwd", b"<script>alert(1)</script>"),
        *(b"3000001234&branchcode=oest", b"%00%0a", b";car=?", b";3000001234=A?"),
        *(b";3000001234?;3000001235?", b"3000001234\x00", b"\x0b3000001234\x0c"),
        *(b"\x1b[31m3000001234", b"300000\xff1234"),
        "٣٠٠٠٠٠١٢٣٤".encode(),
        "3000001234é".encode("latin-1"),
        *(b"010170--1234", b";3000001234"),
        b"noise in front;" + TRACK_2 + b"?",
        b";" + TRACK_2 + b"?xx",
        b";" + TRACK_2[:-1] + b"?",
        b";" + TRACK_2 + b"12?",
        b";" + TRACK_2 + b"?;" + TRACK_2_RANDERS + b"?",
        STRIPE + b"%" + TRACK_1 + b"?;" + TRACK_2_RANDERS + b"?",
        TRACK_2[1:],
        TRACK_2 + b"11",
        b"%" + TRACK_1 + b"?;E?",
        b"A" * 256,
    ],
)
def test_everything_else_is_garbage(frame: bytes) -> None:
    """What is no card is one unreadable shape, whatever it was meant to do."""
    assert identify(frame) == GARBAGE


@pytest.mark.parametrize(
    "frame",
    [
        b";" + BAD_TRACK_2 + b"?",
        BAD_TRACK_2,
        b"%" + TRACK_1 + b"?;" + BAD_TRACK_2 + b"?",
        TRACK_1 + BAD_TRACK_2,
    ],
)
def test_a_health_card_without_a_real_date_says_so(frame: bytes) -> None:
    """A misread digit is told apart from noise."""
    assert identify(frame) == BAD_DATE


@pytest.mark.parametrize(
    "frame",
    [
        b"%" + TRACK_1 + b"?",
        b"%" + TRACK_1 + b"?5",
        b"%" + TRACK_1 + b"?;",
        b"M'%" + TRACK_1 + b"?",
        b"%" + TRACK_1,
        TRACK_1,
        TRACK_1.replace(b"]L\\KKE", b"\xc5L\xd8KKE") + b"5",
        b"%E?",
        b";E?",
        b"+E?",
        b"+0123456789?",
        TRACK_3,
    ],
)
def test_track_1_or_3_alone_has_a_mark_of_its_own(frame: bytes) -> None:
    """Track 2 may stand in the next frame; the caller waits for it."""
    assert identify(frame) == ONLY_TRACK_1


@pytest.mark.parametrize("beside", [b"", b"%LIBRARY CARD?", b"M'"])
@pytest.mark.parametrize("left", range(4, 25))
def test_a_torn_health_card_is_no_plastic_card(left: int, beside: bytes) -> None:
    """Its stripe was read up to somewhere: the patron is told to swipe again, and types no PIN.

    Bug (second penetration test, S11): a stripe that ended after four digits was the card "9208",
    and its patron was told that the PIN did not match.
    """
    torn = TRACK_2[:left]

    assert identify(beside + b";" + torn + b"?") == CUT_OFF
    assert identify(torn) == CardRead((plastic(torn.decode()),)), "of a barcode it is a card"


@pytest.mark.parametrize("number", ["9209", "9208000123", "92080", "920", "9208-10", "9208A"])
def test_a_number_that_only_begins_alike_is_a_plastic_card(number: str) -> None:
    """Nobody who was let in before is told to swipe again."""
    read = CardRead((plastic(number),)) if len(number) > 3 else GARBAGE

    assert identify(f";{number}?".encode()) == read
    assert identify(b";9208=9912?") == CardRead((plastic("9208"),)), "no health card has a date"


@pytest.mark.parametrize("prefix", [b"", b"M'"])
@pytest.mark.parametrize("lrc", [b"", b"8", b"?", b"\x00", b"\xff", b";", b" "])
@pytest.mark.parametrize("beside", [b"", b"%LIBRARY CARD?"])
def test_a_plastic_cards_stripe_is_its_bare_text(prefix: bytes, lrc: bytes, beside: bytes) -> None:
    """Sentinels, a reader's prefix, an LRC byte and another track change nothing."""
    assert identify(prefix + beside + b";3000001234?" + lrc) == PLASTIC_CARD


def test_what_a_person_types_follows_the_same_rules() -> None:
    """The command line names people as the reader does."""
    assert normalise(" 010170-1234\n") == (cpr("0101701234"),)
    assert normalise("0101701234") == (plastic("0101701234"), cpr("0101701234"))
    assert normalise(STRIPE.decode()) == HEALTH_CARD.identifiers


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "123", "Jens Jensen", "010170-1234é", "٣٠٠٠٠٠١٢٣٤", "3000001234\udcff"),
        "320170-1234",
    ],
)
def test_what_is_no_card_normalises_to_nothing(text: str) -> None:
    """Unreadable text is no identifier, and no exception."""
    assert normalise(text) == ()


def test_text_longer_than_a_frame_is_not_looked_at() -> None:
    """Only the length of a frame is ever searched, which bounds the work."""
    longest = b"%" + TRACK_1.ljust(MAX_FRAME_BYTES - 40) + b"?;" + TRACK_2
    assert identify(longest) == HEALTH_CARD

    assert normalise(longest.decode()) == HEALTH_CARD.identifiers
    assert normalise(longest.decode().replace("?", " ?")) == ()


@given(st.binary(max_size=MAX_FRAME_BYTES) | st.text().map(str.encode))
def test_any_bytes_are_a_reading_that_shows_no_number(frame: bytes) -> None:
    """Nothing raises, and a printed reading has no digit of the frame."""
    shown = repr(identify(frame)).replace("ONLY_TRACK_1", "").replace("only_track_1", "")

    assert not any(character.isdigit() for character in shown)


@given(st.from_regex(r"[0-9A-Za-z]{4,24}", fullmatch=True))
def test_every_plastic_number_reads_as_itself_first(number: str) -> None:
    """No plastic card is taken for something else."""
    reading = identify(number.encode())

    assert isinstance(reading, CardRead)
    assert reading.identifiers[0] == plastic(number)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("]C03000001234", [plastic("3000001234")]),
        ("]A0*AB-1234*", [plastic("AB-1234")]),
        ("*3000001234*", [plastic("3000001234")]),
        ("A3000001234B", [plastic("A3000001234B"), plastic("3000001234")]),
        ("d3000001234a", [plastic("d3000001234a"), plastic("3000001234")]),
        ("]C00101701234", [plastic("0101701234"), cpr("0101701234")]),
        ("A0101701234B", [plastic("A0101701234B"), plastic("0101701234"), cpr("0101701234")]),
        ("*010170-1234*", [cpr("0101701234")]),
        ("A123B", [plastic("A123B")]),
        ("E3000001234E", [plastic("E3000001234E")]),
    ],
)
def test_a_scanners_own_marks_are_no_part_of_the_number(sent: str, read: list[object]) -> None:
    """AIM's prefix and Code 39's stars vanish; Codabar's letters may be the number's own."""
    reading = identify(sent.encode())

    assert isinstance(reading, CardRead)
    assert list(reading.identifiers) == read


@pytest.mark.parametrize(
    "sent", ["]C0", "]C012", "*123*", "**", "A1B", "]]30000", "*30000", "30]C01234"]
)
def test_marks_without_a_number_are_garbage(sent: str) -> None:
    """Nothing stands between them."""
    assert identify(sent.encode()) == GARBAGE


@pytest.mark.parametrize("track_3", [b";E?", b"+E?", TRACK_3, TRACK_3 + b"5", b"+0123456789?"])
@pytest.mark.parametrize(
    ("swipe", "read"),
    [
        (b";" + TRACK_2 + b"?", HEALTH_CARD),
        (STRIPE, HEALTH_CARD),
        (STRIPE + b"5", HEALTH_CARD),
        (b"%E?;" + TRACK_2 + b"?", HEALTH_CARD),
        (b";3000001234?", PLASTIC_CARD),
        (b"%LIBRARY CARD?;3000001234?", PLASTIC_CARD),
    ],
)
def test_a_third_track_never_spoils_the_others(swipe: bytes, read: object, track_3: bytes) -> None:
    """Whole or unreadable, on the same line."""
    assert identify(swipe + track_3) == read


@pytest.mark.parametrize("lrc", [b"", b"5", b";"])
def test_the_same_track_thrice_is_one_card(lrc: bytes) -> None:
    """Some readers report track 2 in the place of all three.

    Bug (mission review): a good health card was unreadable where the reader reported its third
    track as `;E?`; readers without a terminator, NUL at wake-up, `;number=date?`, hyphens.
    """
    assert identify((b";" + TRACK_2 + b"?" + lrc) * 3) == HEALTH_CARD
    assert identify(b";3000001234?" * 3) == PLASTIC_CARD
    assert identify(b";3000001234=99?" * 3) == PLASTIC_CARD


@pytest.mark.parametrize("seventh", "0123456789")
def test_each_seventh_digit_places_the_years_as_the_table_says(seventh: str) -> None:
    """An oracle of its own: the table written out as ranges of whole years."""
    years = {
        **dict.fromkeys("0123", range(1900, 2000)),
        **dict.fromkeys("49", range(1937, 2037)),
        **dict.fromkeys("5678", range(1958 - 100, 1900)),
    }[seventh]
    by_two_digits = {year % 100: year for year in years}
    if seventh in "5678":
        by_two_digits |= {year % 100: year for year in range(2000, 2058)}

    for two_digits, year in by_two_digits.items():
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        assert is_cpr(f"2902{two_digits:02d}{seventh}111") is leap, year


@pytest.mark.parametrize(
    "digits",
    [
        *("0001701234", "3201701234", "6001701234", "9201701234", "9104701234", "0100701234"),
        *("0113701234", "3104701234", "9902701234"),
    ],
)
def test_an_impossible_date_is_no_cpr_number(digits: str) -> None:
    """Days 0, 32-60 and 92-99, months 0 and 13, and the 31st of April do not exist."""
    assert not is_cpr(digits)


@pytest.mark.parametrize(
    "text",
    ["", "010170123", "01017012345", "010170-1234", "٠١٠١٧٠١٢٣٤", "010170123²", " 101701234"],
)
def test_only_ten_ascii_digits_are_asked_for_a_date(text: str) -> None:
    """Digits of other scripts are no digits of a card."""
    assert not is_cpr(text)


@given(st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.integers(0, 3999))
def test_the_checksum_is_never_a_reason(day: date, number: int) -> None:
    """Every real date with every number is accepted, whatever modulus 11 says."""
    assert is_cpr(f"{day:%d%m%y}{number:04d}")


@pytest.mark.parametrize(
    ("cpr", "birthday"),
    [
        ("1705000123", date(1900, 5, 17)),
        ("1705993123", date(1999, 5, 17)),
        ("1705364123", date(2036, 5, 17)),
        ("1705374123", date(1937, 5, 17)),
        ("1705369123", date(2036, 5, 17)),
        ("1705379123", date(1937, 5, 17)),
        ("1705575123", date(2057, 5, 17)),
        ("1705588123", date(1858, 5, 17)),
        ("7705155123", date(2015, 5, 17)),
        ("2902004123", date(2000, 2, 29)),
        ("8902004123", date(2000, 2, 29)),
        ("6101701234", date(1970, 1, 1)),
        ("9101701234", date(1970, 1, 31)),
    ],
)
def test_a_cpr_number_tells_the_birthday(cpr: str, birthday: date) -> None:
    """The seventh digit tells the century, at both edges; day + 60 is a replacement number."""
    assert is_cpr(cpr)
    assert birth_date(cpr) == birthday


@given(st.from_regex(r"[0-9]{10}", fullmatch=True).filter(str.isascii))
def test_every_cpr_number_has_a_birthday(cpr: str) -> None:
    """A CPR number has a date, of its own month; whatever is none has none."""
    born = birth_date(cpr)

    assert is_cpr(cpr) == (born is not None)
    if born is not None:
        assert f"{born:%m}" == cpr[2:4]


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
