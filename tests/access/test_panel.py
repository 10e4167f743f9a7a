from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.attempt import Attempt, CodePad, Company, Phase, PinPad, after
from doorctl.access.calendar import Mode
from doorctl.access.messages import Concluded, Event, PadRules, Prepared, Rules
from doorctl.access.panel import (
    CARD_FIRST,
    CODES,
    NEW_PIN,
    NOT_PROVED,
    OURS,
    UNREADABLE,
    Hours,
    Keys,
    Kind,
    Notice,
    Opens,
    Outlook,
    PanelRules,
    PanelState,
    Staffed,
    notice_of,
    panel_state,
    turned_away,
)
from doorctl.access.patron import BEFORE_PROOF, Reason
from doorctl.access.policy import Policy
from doorctl.core.masked import KeyPressed
from tests.access.samples import PATRON
from tests.access.telling import CARD, KNOWN, RULES, Told, keys, now

WITH_KEYS = PanelRules(keys=True, codes=True)
WITHOUT_KEYS = PanelRules(codes=True)
OPEN = Outlook(Mode.SELF_SERVICE)
IDLE = Attempt(number=7, last_number=7)
PAD = PadRules()
AT_S = 100.0


def shown(
    attempt: Attempt = IDLE,
    notice: Notice | None = None,
    outlook: Outlook = OPEN,
    rules: PanelRules = WITHOUT_KEYS,
    *,
    broken: bool = False,
) -> PanelState:
    """Return what is shown of an idle reader in open hours, unless another is given."""
    return panel_state(attempt, notice, outlook, rules, broken=broken)


def ended(reason: Reason, *, silent: bool = False, weak_pin: bool = False) -> Notice | None:
    """Return what is told at the end of an attempt."""
    end = Concluded(7, reason, silent=silent, weak_pin=weak_pin)
    return notice_of(end, WITHOUT_KEYS, AT_S)


def typing(digits: str) -> Attempt:
    """Return an attempt at which so much was typed."""
    return Attempt(Phase.TYPING, 7, 7, PinPad(PAD, 0.0, 0.0, digits))


TOLD_AS = {
    NOT_PROVED: BEFORE_PROOF | {Reason.PIN_TIMEOUT},
    UNREADABLE: {Reason.CARD_UNREADABLE},
    OURS: {Reason.FAULT, Reason.CACHE_TOO_OLD, Reason.CLOCK_UNTRUSTED},
    4: {Reason.BLOCKED, Reason.BANNED, Reason.EXPIRED, Reason.RESTRICTED},
    5: {Reason.NOT_RESIDENT, Reason.UNDER_AGE, Reason.NOT_PERMITTED},
    NEW_PIN: {Reason.WEAK_PIN},
}


def test_which_code_tells_which_refusals() -> None:
    """Before a proof there is one for all; after it one that is too coarse to be a reason.

    Each end but a welcome and closed hours has one, so that none can be forgotten.
    """
    assert {code: {one for one in CODES if CODES[one] == code} for code in TOLD_AS} == TOLD_AS
    assert list(TOLD_AS) == [1, 2, 3, 4, 5, 6]
    assert set(Reason) == {*CODES, Reason.OK, Reason.CLOSED}


@pytest.mark.parametrize("reason", sorted(CODES, key=str))
def test_every_refusal_stands_for_as_long(reason: Reason) -> None:
    """How long it stands tells nobody which it is; so does a card that is turned away."""
    told = ended(reason)

    assert told is not None
    assert told == Notice(Kind.REFUSED, CODES[reason], AT_S + 25.0)
    away = turned_away(OURS, WITHOUT_KEYS, AT_S)
    assert away == Notice(Kind.REFUSED, OURS, told.until_s)


@pytest.mark.parametrize("mode", [Mode.SELF_SERVICE, Mode.CLOSED])
def test_digits_that_are_no_code_may_be_typed_anew_at_once(mode: Mode) -> None:
    """The screen's keys stay while it asks for a card first; it stands as long as a refusal."""
    told = turned_away(CARD_FIRST, WITH_KEYS, AT_S)
    state = shown(notice=told, outlook=Outlook(mode), rules=WITH_KEYS)

    assert told.until_s == AT_S + WITH_KEYS.message_s
    assert (state.kind, state.code, state.keys) == (Kind.REFUSED, CARD_FIRST, Keys.CODE)
    assert CARD_FIRST not in CODES.values()


def test_a_welcome_is_told() -> None:
    """Who is let in is welcomed; a PIN that is too easy is for the desk to tell."""
    assert ended(Reason.OK) == Notice(Kind.WELCOME, 0, AT_S + 6.0)
    assert ended(Reason.OK, weak_pin=True) == Notice(Kind.WELCOME, NEW_PIN, AT_S + 6.0)


def test_what_another_card_supersedes_is_not_told() -> None:
    """The next patron is being served already."""
    assert ended(Reason.WRONG_PIN, silent=True) is None


@pytest.mark.parametrize("code", [NOT_PROVED, UNREADABLE, OURS])
@pytest.mark.parametrize(("rules", "pad"), [(WITH_KEYS, Keys.CODE), (WITHOUT_KEYS, Keys.NONE)])
def test_a_notice_stands_on_the_idle_screen(code: int, rules: PanelRules, pad: Keys) -> None:
    """A refusal shows its code and no hours; whoever comes next with a code may type it at once."""
    told = Notice(Kind.REFUSED, code, AT_S)
    soon = replace(OPEN, minutes=3, staffed=Staffed(0, 2, 600, 900))

    assert shown(notice=told, outlook=soon, rules=rules) == PanelState(
        Kind.REFUSED, 7, keys=pad, code=code
    )


@pytest.mark.parametrize("code", [4, 5, NEW_PIN])
def test_what_the_desk_can_help_with_comes_with_its_hours(code: int) -> None:
    """Codes 4, 5 and 6 alike, so that the hours tell nobody which it is."""
    there = Staffed(0, 2, 600, 900)
    state = shown(notice=Notice(Kind.REFUSED, code, AT_S), outlook=replace(OPEN, staffed=there))

    assert state == PanelState(Kind.REFUSED, 7, code=code, staffed=there)


def test_that_it_is_closed_is_told_with_the_hours() -> None:
    """Closed is no secret: it comes with when it opens again, or with the minutes that are left."""
    told = ended(Reason.CLOSED)
    opens = Opens(1, 4, 420)
    assert told == Notice(Kind.CLOSED, 0, AT_S + 25.0)

    assert shown(notice=told, outlook=Outlook(Mode.CLOSED, opens=opens)).opens == opens
    late = shown(notice=told, outlook=replace(OPEN, entry=False, minutes=9), rules=WITH_KEYS)
    assert (late.kind, late.entry, late.minutes, late.keys) == (Kind.CLOSED, False, 9, Keys.NONE)
    broken = shown(notice=told, broken=True)
    assert (broken.kind, broken.code) == (Kind.CLOSED, 0)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (Mode.SELF_SERVICE, Kind.IDLE),
        (Mode.STAFFED, Kind.STAFFED),
        (Mode.CLOSED, Kind.CLOSED),
        (Mode.LOCKDOWN, Kind.CLOSED),
        (None, Kind.OUT_OF_ORDER),
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_the_mode_stands_while_nobody_comes(mode: Mode | None, kind: Kind, *, broken: bool) -> None:
    """A reader that can't read matters only where a card would be read."""
    expected = Kind.OUT_OF_ORDER if broken and kind is Kind.IDLE else kind

    state = shown(outlook=Outlook(mode), broken=broken)

    assert state.kind is expected
    assert state.code == (OURS if expected is Kind.OUT_OF_ORDER else 0)


def test_the_last_minutes_are_counted() -> None:
    """The countdown stands in place of the idle screen; a broken reader goes before it."""
    soon = replace(OPEN, minutes=12)

    assert shown(outlook=soon) == PanelState(Kind.CLOSING, 7, minutes=12)
    assert shown(outlook=replace(OPEN, entry=False)).kind is Kind.CLOSING
    assert shown(outlook=soon, broken=True).kind is Kind.OUT_OF_ORDER


def test_hours_are_shown_while_it_is_open() -> None:
    """Today's hours would only confuse who stands before a closed door."""
    today = (Hours(420, 1320, staffed=False),)

    assert shown(outlook=replace(OPEN, hours=today)).hours == today
    assert shown(outlook=Outlook(Mode.CLOSED, hours=today)).hours is None


@pytest.mark.parametrize("digits", ["", "4", "471"])
@pytest.mark.parametrize(("rules", "pad"), [(WITH_KEYS, Keys.PIN), (WITHOUT_KEYS, Keys.NONE)])
def test_digits_are_counted(digits: str, rules: PanelRules, pad: Keys) -> None:
    """The screen knows how many were typed and how many a PIN has."""
    kind = Kind.TYPING if digits else Kind.CARD_READ

    state = shown(typing(digits), rules=rules)

    assert state == PanelState(kind, 7, len(digits), PAD.pin_length, pad)


@pytest.mark.parametrize("phase", [Phase.CHECKING, Phase.DELAYED, Phase.ASKING, Phase.WITHHELD])
def test_all_that_is_slow_looks_the_same(phase: Phase) -> None:
    """Whether the library system is asked, or a refusal only withheld, is told to nobody."""
    assert shown(Attempt(phase, 7, 7, withheld=Reason.WRONG_PIN)) == PanelState(Kind.WORKING, 7)


@pytest.mark.parametrize(("rules", "pad"), [(WITH_KEYS, Keys.CODE), (WITHOUT_KEYS, Keys.NONE)])
def test_a_code_is_counted_too(rules: PanelRules, pad: Keys) -> None:
    """How long a code has to be is not told."""
    attempt = replace(IDLE, code_pad=CodePad(PAD, 0.0, 0.0, "12345"))

    assert shown(attempt, rules=rules) == PanelState(Kind.TYPING, 7, 5, 0, pad)


@pytest.mark.parametrize("notice", [None, Notice(Kind.WELCOME, NEW_PIN, AT_S)])
def test_who_was_let_in_is_asked_for_companions(notice: Notice | None) -> None:
    """As long as the question stands the welcome does, with what is to be told."""
    attempt = replace(IDLE, company=Company(7, 4, AT_S, Mode.SELF_SERVICE))
    code = 0 if notice is None else NEW_PIN

    asked = PanelState(Kind.WELCOME, 7, keys=Keys.COMPANIONS, code=code, companions=4)
    assert shown(attempt, notice, rules=WITH_KEYS) == asked
    beyond = replace(attempt, company=Company(7, 4, AT_S, Mode.SELF_SERVICE, wrong=True))
    assert shown(beyond, notice, rules=WITH_KEYS) == replace(asked, wrong=True)


@pytest.mark.parametrize(
    ("rules", "mode", "pad"),
    [
        (WITH_KEYS, Mode.SELF_SERVICE, Keys.CODE),
        (WITH_KEYS, Mode.CLOSED, Keys.CODE),
        (WITH_KEYS, Mode.STAFFED, Keys.NONE),
        (WITHOUT_KEYS, Mode.SELF_SERVICE, Keys.NONE),
        (PanelRules(keys=True), Mode.SELF_SERVICE, Keys.NONE),
    ],
)
def test_keys_are_offered_for_codes(rules: PanelRules, mode: Mode, pad: Keys) -> None:
    """Only where codes are taken, the screen has keys and the door does not stand free anyway."""
    assert shown(outlook=Outlook(mode), rules=rules).keys is pad


def states(steps: list[Told], rules: Rules = RULES) -> list[tuple[float, PanelState]]:
    """Tell events to an attempt; return each state with when it came."""
    attempt, notice = Attempt(), None
    seen: list[tuple[float, PanelState]] = []
    for event, at_s, *version in steps:
        attempt, effects = after(attempt, event, now(at_s, *version), rules)
        for effect in effects:
            if isinstance(effect, Concluded):
                notice = notice_of(effect, WITH_KEYS, at_s)
        seen.append((at_s, panel_state(attempt, notice, OPEN, WITH_KEYS, broken=False)))
    return seen


NO_ROW = replace(KNOWN, patron=None)
NO_PIN = replace(KNOWN, patron=replace(PATRON, pin_check=None))


@pytest.mark.parametrize("prepared", [NO_ROW, NO_PIN, replace(KNOWN, throttled=True)])
def test_refusals_before_the_proof_look_the_same(prepared: Prepared) -> None:
    """An unknown card, one without a PIN and one that waits: state by state a wrong PIN's."""
    wrong = states([(CARD, 0.0), (KNOWN, 0.3), *keys("4712")])

    assert states([(CARD, 0.0), (prepared, 0.3), *keys("4712")]) == wrong
    assert wrong[-1] == (4.0, PanelState(Kind.REFUSED, 1, keys=Keys.CODE, code=NOT_PROVED))


pressed = st.lists(st.sampled_from("0123456789#*"), max_size=8)
OTHER = str.maketrans("0123456789", "7012894356")
"""Each digit is another one."""


def told(pressed_keys: list[str]) -> list[tuple[float, PanelState]]:
    """Return all that is shown of keys, with and without a card before them."""
    rules = Rules(Policy(), PadRules(), codes=True)
    typed: list[tuple[Event, float]] = [
        (KeyPressed(key), 1.0 + at / 10) for at, key in enumerate(pressed_keys)
    ]
    return states([*typed], rules) + states([(CARD, 0.0), *typed], rules)


@given(pressed)
def test_the_screen_can_not_tell_one_digit_from_another(pressed_keys: list[str]) -> None:
    """Whichever digits are typed, of a PIN or a code: every state is the same."""
    others = [key.translate(OTHER) for key in pressed_keys]

    assert told(pressed_keys) == told(others)


def test_the_screen_holds_numbers_and_names_of_its_own() -> None:
    """There is no field for a text: no name, card number or digit can get into it."""
    kinds = {one.name: str(one.type) for one in fields(PanelState)}

    assert set(kinds.values()) == {
        "Kind", "int", "Keys", "int | None", "bool", "tuple[Hours, ...] | None", "Opens | None",
        "Staffed | None", "float | None",
    }  # fmt: skip
    assert {str(one.type) for kind in (Hours, Opens, Staffed) for one in fields(kind)} == {
        "int",
        "bool",
    }
