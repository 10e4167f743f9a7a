from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import (
    BEFORE_PROOF,
    KEY_BYTES,
    PIN_CHECK_BYTES,
    ROW_KEY_BYTES,
    SENTENCES,
    CacheStamp,
    Patron,
    Reason,
    key_parts,
    levels,
    may_be_one,
    overlaid,
    pin_check,
    row_key,
)
from doorctl.access.weak_pins import COMMON_PINS as COMMON
from doorctl.access.weak_pins import PERSONAL_PINS as PERSONAL
from doorctl.access.weak_pins import Known
from doorctl.access.weak_pins import WeakRule as Rule
from doorctl.access.weak_pins import easy_to_guess as weak
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.core.moments import ClockState
from tests.access.samples import NOW, PATRON, UNJUDGED, moment

OTHER = replace(PATRON, patron_ref="1002")

keys = st.binary(min_size=32, max_size=32).map(StretchedKey)
pins = st.text("0123456789", min_size=1, max_size=8).map(Pin)


@given(keys)
def test_row_key_is_the_designs(stretched: StretchedKey) -> None:
    """The row key is ``HMAC-SHA256(K, "row")[:16]``: the library's server computes the same."""
    expected = hmac.new(stretched.reveal(), b"row", "sha256").digest()[:16]

    assert expected == row_key(stretched)
    assert len(expected) == ROW_KEY_BYTES


@given(keys, pins)
def test_pin_check_is_the_designs(stretched: StretchedKey, pin: Pin) -> None:
    """The PIN check is ``HMAC-SHA256(K, "pin" + PIN)``: the library's server computes the same."""
    message = b"pin" + pin.reveal().encode()
    expected = hmac.new(stretched.reveal(), message, "sha256").digest()

    assert expected == pin_check(stretched, pin)
    assert len(expected) == PIN_CHECK_BYTES


@pytest.mark.parametrize(
    ("one", "other", "may_be"),
    [
        *((PATRON, PATRON, True), (PATRON, OTHER, False)),
        *((None, PATRON, True), (PATRON, None, True), (None, None, True)),
    ],
)
def test_two_readings_are_two_people_only_by_two_numbers(
    one: Patron | None, other: Patron | None, *, may_be: bool
) -> None:
    """What nothing is known of may be the same person, so that no doubt is kept from anybody."""
    assert may_be_one(one, other) is may_be


@pytest.mark.parametrize(
    ("ago", "state", "age"),
    [
        (timedelta(hours=3), ClockState.TRUSTED, timedelta(hours=3)),
        (timedelta(hours=3), ClockState.UNTRUSTED, None),
        (None, ClockState.TRUSTED, None),
    ],
)
def test_the_age_of_the_register_is_known_by_a_clock_and_a_push(
    ago: timedelta | None, state: ClockState, age: timedelta | None
) -> None:
    """Neither a clock that nobody vouches for nor a register without a push has an age."""
    stamp = CacheStamp(1, None if ago is None else NOW - ago, 15, 1)

    assert stamp.age(moment(state)) == age


def test_repr_shows_no_pin_check() -> None:
    """A row in a traceback shows nothing that a PIN could be searched by."""
    assert PATRON.pin_check is not None
    assert repr(PATRON.pin_check) not in repr(PATRON)
    assert "pin_check" not in repr(PATRON)


PIN = Pin("4711")
FIRST, SECOND, THIRD = (bytes([number]) * KEY_BYTES for number in (1, 2, 3))


def test_a_later_key_is_laid_over_the_one_before() -> None:
    """What is stored is rewritten with the later key alone: no card number is needed for it."""
    old, new = StretchedKey(FIRST), StretchedKey(FIRST + SECOND + THIRD)
    once = hmac.digest(SECOND, row_key(old), "sha256")[:ROW_KEY_BYTES]

    assert row_key(new) == hmac.digest(THIRD, once, "sha256")[:ROW_KEY_BYTES]
    assert row_key(new) == overlaid(row_key(old), (SECOND, THIRD))
    assert pin_check(new, PIN) == overlaid(pin_check(old, PIN), (SECOND, THIRD))
    assert len(pin_check(new, PIN)) == PIN_CHECK_BYTES
    assert overlaid(row_key(old), ()) == row_key(old)


def test_an_identifier_is_known_under_every_key_that_there_was() -> None:
    """The newest first; one that never had another key has that one alone."""
    whole = StretchedKey(FIRST + SECOND + THIRD)

    assert levels(whole) == (whole, StretchedKey(FIRST + SECOND), StretchedKey(FIRST))
    assert levels(StretchedKey(FIRST)) == (StretchedKey(FIRST),)
    assert key_parts(whole.reveal()) == [FIRST, SECOND, THIRD]


FIXED_NAMES = [
    "ok", "unknown_card", "wrong_pin", "pin_unknown", "pin_timeout", "throttled", "not_resident",
    "blocked", "under_age", "not_introduced", "expired", "banned", "closed", "not_permitted",
    "restricted",
    "cache_too_old", "clock_untrusted", "weak_pin", "card_unreadable", "fault",
]  # fmt: skip


def test_names_are_the_fixed_ones() -> None:
    """Scripts and staff notes rely on the names: none is renamed, dropped or added unnoticed."""
    assert [reason.value for reason in Reason] == FIXED_NAMES


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence_in_two_languages(reason: Reason) -> None:
    """Each can be told from every other, as a whole sentence; all but ``ok`` are refusals."""
    danish, english = SENTENCES[reason]

    assert danish != english
    assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in (danish, english))
    for language in (0, 1):
        assert len({sentences[language] for sentences in SENTENCES.values()}) == len(Reason)
    assert reason.verdict == ("granted" if reason.value == "ok" else "refused")


def test_what_is_told_after_the_proof_is_in_no_group() -> None:
    """All that speaks of a person's rights presupposes the PIN, so it is in neither group."""
    after_proof = {
        *("ok", "not_resident", "blocked", "under_age", "expired", "banned", "closed"),
        *("not_permitted", "restricted", "cache_too_old", "clock_untrusted", "weak_pin"),
        "not_introduced",
    }

    assert set(map(Reason, after_proof)) == set(Reason) - BEFORE_PROOF - UNJUDGED


CPR = Identifier(IdentifierKind.CPR, "0203681237")
CARD = Identifier(IdentifierKind.CARD, "3000005689")
KNOWN = Known(("0203681237",), ("3000005689",), frozenset({("02", "03", "68")}))
NOTHING = Known((), (), frozenset())
ALL = [f"{number:04}" for number in range(10_000)]

digits = st.text("0123456789", min_size=4, max_size=12)
cprs = st.dates(date(1900, 1, 1), date(2036, 12, 31)).flatmap(
    lambda born: st.integers(0, 9999).map(lambda serial: f"{born:%d%m%y}{serial:04}")
)
cards = st.text("0123456789ABC", min_size=5, max_size=20)


def weak_ones(*identifiers: Identifier, birthday: date | None = None) -> set[str]:
    """All PINs of four digits that are weak for a patron."""
    return {pin for pin in ALL if weak(Pin(pin), identifiers, birthday)}


@pytest.mark.parametrize("rule", [*COMMON, *PERSONAL], ids=lambda rule: rule.name)
def test_the_tables_say_how_many_pins_each_rule_takes(rule: Rule) -> None:
    """The share of each rule is as it is written down."""
    assert len(set(rule.guesses(KNOWN, 4))) == rule.of_10_000


@pytest.mark.parametrize("length", [4, 7, 12])
def test_what_everybody_guesses_is_what_the_table_says(length: int) -> None:
    """Each run, repeat and pair of halves as a person would write it down, and nothing else."""
    up = {"0123456789012345678901"[start:][:length] for start in range(10)}
    pairs = [(first, second) for first in "0123456789" for second in "0123456789"]
    half = length // 2
    expected = {
        *up,
        *("".join(reversed(run)) for run in up),
        *((first + second) * half + first * (length % 2) for first, second in pairs),
        *(first * half + second * (length - half) for first, second in pairs),
    }

    found = {guess for rule in COMMON for guess in rule.guesses(NOTHING, length)}
    assert found == expected
    assert all(weak(Pin(pin), ()) for pin in expected)


def test_what_is_called_weak_stays_small() -> None:
    """Of 10 000 PINs 210 are weak for everybody, and 14 more by a CPR number and a card."""
    assert len(weak_ones()) == 210
    assert len(weak_ones(CPR, CARD)) == 224


BORN = date(1968, 3, 2)


@pytest.mark.parametrize(
    ("pins", "known", "birthday", "is_weak"),
    [
        # The birthday in each order, both centuries, and whatever stands together, the end too.
        ("0203 0302 0268 6802 0368 6803 1968 2068", (CPR,), None, True),
        ("2036 3681 6812 8123 1237", (CPR,), None, True),
        # A branch may ask for up to 12 digits.
        ("020368 680302 021968 19680302 02032068 0203681", (CPR,), None, True),
        ("123456789012 70707 1112222", (CPR,), None, True),
        # The end of a card's number is printed on it, and weak for that card only.
        ("5689", (CARD,), None, True),
        ("4568", (Identifier(IdentifierKind.CARD, "3000045AB68"),), None, True),
        ("5689", (CPR,), None, False),
        # A patron with a plastic card only has a birthday too, where the library system knows it.
        ("0203", (CARD,), BORN, True),
        ("0203", (CARD,), None, False),
        # 60 is added to a replacement number's day: both what is printed and the day are weak.
        ("6203 0203", (Identifier(IdentifierKind.CPR, "6203681237"),), None, True),
        # What stands in no row is nobody's business.
        ("4711 0815 2580 3021", (CPR, CARD), BORN, False),
    ],
)
def test_what_is_easy_to_guess_of_somebody(
    pins: str, known: tuple[Identifier, ...], birthday: date | None, *, is_weak: bool
) -> None:
    """By what stands on their cards, and by their birthday."""
    assert [weak(Pin(pin), known, birthday) for pin in pins.split()] == [is_weak] * len(
        pins.split()
    )


@given(digits, st.lists(cprs, max_size=3), st.lists(cards, max_size=3), st.none() | st.dates())
def test_more_that_is_known_makes_no_pin_stronger(
    pin: str, numbers: list[str], plastic: list[str], birthday: date | None
) -> None:
    """A further card or a birthday only adds guesses, for every length of PIN."""
    identifiers = [
        *(Identifier(IdentifierKind.CPR, number) for number in numbers),
        *(Identifier(IdentifierKind.CARD, number) for number in plastic),
    ]

    for known in range(len(identifiers)):
        if weak(Pin(pin), identifiers[:known]):
            assert weak(Pin(pin), identifiers, birthday)


@given(cprs, st.integers(0, 6))
def test_whatever_stands_together_in_a_cpr_number_is_weak(number: str, at: int) -> None:
    """For every number, wherever the four digits begin."""
    assert weak(Pin(number[at : at + 4]), [Identifier(IdentifierKind.CPR, number)])


@given(st.lists(cprs, min_size=1, max_size=2), st.lists(cards, max_size=2))
def test_no_patron_loses_more_than_the_tables_say(numbers: list[str], plastic: list[str]) -> None:
    """210 for nothing, 13 for each CPR number and one for each card."""
    identifiers = [
        *(Identifier(IdentifierKind.CPR, number) for number in numbers),
        *(Identifier(IdentifierKind.CARD, number) for number in plastic),
    ]
    most = 210 + 13 * len(numbers) + len(plastic)

    assert sum(weak(Pin(pin), identifiers) for pin in ALL[::7]) <= most
