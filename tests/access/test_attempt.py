from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import get_args, get_type_hints

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorctl.access.attempt import PREPARE_LIMIT_S, TRANSITIONS, Attempt, Phase, after, checking
from doorctl.access.messages import (
    Asked,
    Clicked,
    Concluded,
    Event,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    NoCode,
    Now,
    PadRules,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.patron import Reason
from doorctl.access.pin_pad import CLEAR, ENTER, PinPad
from doorctl.access.policy import Policy
from doorctl.access.rights import Pass, PassKind
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.readings import CardRead, KeyPressed, Shape
from tests.access.samples import PATRON, RIGHT_PIN, ROW_KEY, day
from tests.access.telling import (
    CARD,
    GARBAGE,
    KNOWN,
    NO_PIN_RULES,
    OTHER,
    RULES,
    UNKNOWN,
    Told,
    ended,
    keys,
    now,
    play,
)


def test_every_event_has_its_answer_in_every_phase() -> None:
    """No pair of phase and event is left out of the table."""
    assert set(TRANSITIONS) == set(product(Phase, get_args(Event)))


def test_every_step_takes_the_event_of_its_row() -> None:
    """The table calls a step with its row's event unchecked, so the annotations must agree."""
    for (_, event), transition in TRANSITIONS.items():
        _, takes, *_ = get_type_hints(transition.handler).values()
        assert issubclass(event, takes), transition.handler


def test_the_way_in() -> None:
    """Card, row and PIN open the door; the last key clicks like the others."""
    attempt, effects = play((CARD, 0.0), (KNOWN, 0.8), *keys("4711"))

    assert effects == [
        Prepare(1, CARD.identifiers),
        Asked(),
        *[Clicked()] * 3,
        Concluded(1, Reason.OK, proved=True),
        Clicked(),
    ]
    assert attempt == Attempt(number=1, last_number=1)


def test_the_row_may_come_after_the_pin() -> None:
    """A slow Pi answers as soon as the row is there, and keeps no PIN afterwards."""
    attempt, effects = play((CARD, 0.0), *keys("4711"), (KNOWN, 4.9))

    assert ended(effects) == [(1, Reason.OK)]
    assert attempt.pin is None


def test_the_verdict_is_found_before_the_last_digit() -> None:
    """Once, when the row comes: a key takes as long whoever's card it is, the last one an HMAC."""
    typing, _ = play((CARD, 0.0), (KNOWN, 0.5), *keys("471"))
    late, _ = play((CARD, 0.0), *keys("471", 1.0), (KNOWN, 4.5))

    assert typing.foreseen is not None
    assert typing.foreseen.now.s == 0.5
    assert late.foreseen is not None
    assert late.foreseen.now.s == 4.5
    assert checking(typing, typing.foreseen.now).foreseen is None


def test_without_a_pin_the_row_decides() -> None:
    """Where no PIN is required keys do nothing and the row opens the door.

    Bug (state machine over an attempt): a PIN typed, or a row that came, after its deadline
    still opened the door.
    """
    attempt, effects = play((CARD, 0.0), *keys("4"), (KNOWN, 2.0), rules=NO_PIN_RULES)

    assert effects == [Prepare(1, CARD.identifiers), Asked(), Concluded(1, Reason.OK)]
    assert attempt.phase is Phase.IDLE


@pytest.mark.parametrize("late_s", [0.0, 0.001, 600.0])
def test_a_key_at_the_deadline_is_too_late(late_s: float) -> None:
    """A key that a busy loop takes before it lets time pass is judged by when it came.

    Bug (stranger's review): each key was judged anew before its click, so its time said
    something of the card.
    """
    steps: list[Told] = [
        (CARD, 0.0),
        (KNOWN, 0.5),
        *keys("471", 1.0),
        (KeyPressed("1"), 23.0 + late_s),
    ]
    attempt, effects = play(*steps)

    assert ended(effects) == [(1, Reason.PIN_TIMEOUT)]
    assert attempt.phase is Phase.IDLE


IN_TIME_S = 4.0 + PREPARE_LIMIT_S - 0.001
LATE_S = 4.0 + PREPARE_LIMIT_S
TYPED: list[Told] = [(CARD, 0.0), *keys("4711")]
SLOWED: list[Told] = [(CARD, 0.0), (replace(KNOWN, delay_s=5.0), 0.5), *keys("4711")]
AWAY: list[Told] = [(CARD, 0.0, None), (KNOWN, 0.5, 1), *keys("4711", version=1)]
SLOWLY: list[Told] = [(CARD, 0.0), *((KeyPressed("*"), at) for at in (18.0, 36.0, 54.0))]


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        pytest.param(
            [(CARD, 0.0), (KNOWN, 0.5), *keys("471"), (KeyPressed("1"), 22.999)],
            [Reason.OK],
            id="the whole time for a key may be used",
        ),
        pytest.param([*SLOWLY, (TimePassed(), 59.999)], [], id="and 60 s in all"),
        pytest.param([*SLOWLY, (TimePassed(), 60.0)], [Reason.PIN_TIMEOUT], id="however often"),
        pytest.param([*TYPED, (TimePassed(), IN_TIME_S)], [], id="a row may come for so long"),
        pytest.param([*TYPED, (TimePassed(), LATE_S)], [Reason.FAULT], id="even if it never does"),
        pytest.param([*TYPED, (KNOWN, LATE_S)], [Reason.FAULT], id="then the patron may have left"),
        pytest.param([*TYPED, (KNOWN, LATE_S + 600.0)], [Reason.FAULT], id="long ago, too"),
        pytest.param([*SLOWED, (TimePassed(), IN_TIME_S + 5.0)], [Reason.OK], id="a slow answer"),
        pytest.param([*SLOWED, (TimePassed(), LATE_S + 5.0)], [Reason.FAULT], id="can be too late"),
        pytest.param(AWAY, [], id="a row of a cache that was away proves nothing"),
        pytest.param([*AWAY, (KNOWN, 4.1, 1)], [Reason.OK], id="so it is read again"),
        *(
            pytest.param(
                [(CARD, 0.0, at_card), (KNOWN, 0.5, 1), *keys("4711", version=None)],
                [Reason.FAULT],
                id="a cache that is away lets nobody in",
            )
            for at_card in (None, 1)
        ),
    ],
)
def test_what_comes_late_opens_no_door(steps: list[Told], ends: list[Reason]) -> None:
    """Whoever stands there then may be another; who waits gets an answer within the limit."""
    assert [reason for _, reason in ended(play(*steps)[1])] == ends


@pytest.mark.parametrize("digits", ["", "47", "4711"])
def test_a_card_that_cannot_be_looked_up_is_told_at_once(digits: str) -> None:
    """Nobody types a PIN to the end, or waits for the limit, for a cache that can't be read."""
    attempt, effects = play((CARD, 0.0), *keys(digits), (PrepareFailed(1), 4.5))

    assert ended(effects) == [(1, Reason.FAULT)]
    assert attempt == Attempt(number=1, last_number=1)


@pytest.mark.parametrize(("row", "reason"), [(KNOWN, Reason.OK), (UNKNOWN, Reason.UNKNOWN_CARD)])
def test_a_slowed_reader_answers_late(row: Prepared, reason: Reason) -> None:
    """The reader's delay comes once, before every answer, right or wrong."""
    slowed = replace(row, delay_s=5.0)
    typed: list[Told] = [(CARD, 0.0), (slowed, 0.5), *keys("4711")]

    waiting, effects = play(*typed, (TimePassed(), 8.999))
    assert (waiting.phase, waiting.deadline_s) == (Phase.DELAYED, 9.0)
    assert ended(effects) == []
    assert ended(play(*typed, (TimePassed(), 9.0))[1]) == [(1, reason)]


def test_a_push_between_row_and_pin_is_looked_at() -> None:
    """After a push no decision uses the older row: it is read again first."""
    attempt, effects = play((CARD, 0.0, 1), (KNOWN, 0.5, 1), *keys("4711", version=2))

    assert effects[-2:] == [LookAgain(KNOWN), Clicked()]
    assert (attempt.phase, attempt.cache_version) == (Phase.CHECKING, 2)
    assert attempt.prepared is None

    blocked = replace(KNOWN, patron=replace(PATRON, blocks=frozenset("O")))
    attempt, (concluded,) = after(attempt, blocked, now(4.1, 2), RULES)
    assert concluded == Concluded(1, Reason.BLOCKED, proved=True)


def test_a_push_while_the_row_was_read_is_looked_at() -> None:
    """The version counts from before the row was asked for, not from when it came."""
    _, effects = play((CARD, 0.0, 1), (KNOWN, 0.5, 2), *keys("4711", version=2))

    assert ended(effects) == []
    assert LookAgain(KNOWN) in effects


def test_a_second_push_is_looked_at_as_well() -> None:
    """A push while the row is read again has it read a third time."""
    steps: list[Told] = [(CARD, 0.0, 1), (KNOWN, 0.5, 1), *keys("4711", version=2)]
    again, effects = play(*steps, (KNOWN, 4.1, 3))

    assert effects.count(LookAgain(KNOWN)) == 2
    assert again.cache_version == 3


@pytest.mark.parametrize("row", [KNOWN, UNKNOWN])
def test_a_push_is_no_way_around_the_delay(row: Prepared) -> None:
    """A row that is read again carries no second delay and skips no first one."""
    typed: list[Told] = [
        (CARD, 0.0, 1),
        (replace(row, delay_s=5.0), 0.5, 1),
        *keys("4711", version=2),
    ]
    waiting, effects = play(*typed)
    assert waiting.phase is Phase.DELAYED

    again, (look,) = after(waiting, TimePassed(), now(9.0, 2), RULES)
    assert look == LookAgain(row)
    assert again.phase is Phase.CHECKING
    _, (concluded,) = after(again, row, now(9.1, 2), RULES)
    assert isinstance(concluded, Concluded)
    assert ended(effects) == []


def test_another_card_starts_afresh() -> None:
    """A card in the middle of an entry ends it silently and takes none of its digits over."""
    second = replace(KNOWN, attempt=2)
    _, effects = play(
        (CARD, 0.0), (KNOWN, 0.5), *keys("47"), (OTHER, 3.0), (second, 3.5), *keys("11", 4.0)
    )

    assert Concluded(1, Reason.PIN_TIMEOUT, silent=True) in effects
    assert ended(effects) == [(1, Reason.PIN_TIMEOUT)]


CPR = Identifier(IdentifierKind.CPR, "0101701234")
STRIPE = CardRead((CPR,))
BARCODE = CardRead((Identifier(IdentifierKind.CARD, "0101701234"), CPR))


@pytest.mark.parametrize(("first", "again"), [(CARD, CARD), (STRIPE, BARCODE), (BARCODE, STRIPE)])
@pytest.mark.parametrize("gap_s", [0.001, 0.3, 2.0, 15.0])
def test_a_card_that_is_read_again_takes_no_digit_away(
    first: CardRead, again: CardRead, gap_s: float
) -> None:
    """Card, two keys, the same card in whatever form, two keys: in, by one attempt.

    Bug (mission review): a phone before an imager that repeats each 0.6 s never got in: each
    reading threw the digits away and made one more refused row.
    """
    steps: list[Told] = [(first, 0.0), (KNOWN, 0.5), *keys("47"), (again, 2.0 + gap_s)]
    attempt, effects = play(*steps, *keys("11", 3.0 + gap_s))

    assert ended(effects) == [(1, Reason.OK)]
    assert [effect for effect in effects if isinstance(effect, Prepare)] == [
        Prepare(1, first.identifiers)
    ]
    assert attempt == Attempt(number=1, last_number=1)


def at_work() -> Iterator[tuple[Attempt, float]]:
    """Yield an attempt in each phase between the card and the answer, with its time."""
    asking = replace(RULES, ask_s=2.0)
    typed: list[Told] = [(CARD, 0.0), *keys("4711")]
    slow, worn = replace(KNOWN, delay_s=5.0), (replace(UNKNOWN, throttled=True), 4.0)
    yield play((CARD, 0.0))[0], 1.0
    yield play((CARD, 0.0), (KNOWN, 0.5), *keys("47"))[0], 2.0
    yield play(*typed)[0], 4.0
    yield play(*typed, (slow, 4.0))[0], 4.0
    yield play(*typed, (UNKNOWN, 4.0), rules=asking)[0], 4.0
    yield play(*typed, worn, rules=asking)[0], 4.0


def test_between_card_and_answer_the_same_card_changes_nothing() -> None:
    """In each phase, without an effect; a reading is a key for the pad and for nothing else."""
    seen = set()
    for attempt, at in at_work():
        seen.add(attempt.phase)
        then, effects = after(attempt, CARD, now(at + 0.6), RULES)
        pad = attempt.pad and replace(attempt.pad, last_key_s=at + 0.6)
        assert (then, effects) == (replace(attempt, pad=pad), ())

        other, (superseded, *_) = after(attempt, OTHER, now(at + 0.6), RULES)
        assert isinstance(superseded, Concluded)
        assert (superseded.attempt, superseded.silent, other.number) == (1, True, 2)
    assert seen == {*Phase} - {Phase.IDLE}


@pytest.mark.parametrize("gap_s", [0.3, 2.0, 19.0])
def test_a_card_that_stays_holds_no_attempt_open(gap_s: float) -> None:
    """A reading is a key: 20 s more, 60 s in all from the first; then the next one begins anew."""
    readings: list[Told] = [(CARD, gap_s * times) for times in range(int(80 / gap_s) + 1)]
    waiting, effects = play(*[told for told in readings if told[1] < 60.0])
    assert (waiting.deadline_s, ended(effects)) == (60.0, [])

    attempt, effects = play(*readings)
    assert ended(effects) == [(1, Reason.PIN_TIMEOUT)]
    assert attempt.number == 2


def test_the_same_card_after_the_answer_is_another_attempt() -> None:
    """Granted, refused or too late."""
    second = replace(KNOWN, attempt=2)
    for told in (keys("4711"), keys("4712"), [(TimePassed(), 20.0)]):
        _, effects = play((CARD, 0.0), (KNOWN, 0.5), *told, (CARD, 21.0), (second, 21.5))
        _, *more = (effect for effect in effects if isinstance(effect, Prepare))
        assert more == [Prepare(2, CARD.identifiers)]


def test_a_card_after_a_code_is_another_attempt() -> None:
    """A code that is still looked up is no card."""
    codes = replace(RULES, policy=Policy(code_entry=True))
    attempt, effects = play(*keys("483920#"), (CARD, 7.5), rules=codes)

    assert (attempt.number, ended(effects)) == (2, [(1, Reason.PIN_TIMEOUT)])


def test_the_end_of_the_old_comes_before_the_start_of_the_new() -> None:
    """The old attempt is settled before the new one is prepared, so that it counts by then."""
    _, effects = play((CARD, 0.0), (OTHER, 3.0))

    assert effects[2:] == [
        Concluded(1, Reason.PIN_TIMEOUT, silent=True),
        Prepare(2, OTHER.identifiers),
        Asked(),
    ]


def test_an_answer_to_an_old_question_is_not_used() -> None:
    """The row of the first card never decides about the second one."""
    steps: list[Told] = [(CARD, 0.0), (OTHER, 1.0), (KNOWN, 1.5)]
    attempt, effects = play(*steps, *keys("4711", 2.0))

    assert ended(effects) == [(1, Reason.PIN_TIMEOUT)]
    assert attempt.prepared is None
    assert ended(play(*steps, (PrepareFailed(1), 2.0))[1]) == [(1, Reason.PIN_TIMEOUT)]


def test_an_unreadable_card_disturbs_nobody() -> None:
    """Bytes that are no card are refused under a number of their own; typing goes on."""
    _, effects = play((CARD, 0.0), (KNOWN, 0.5), *keys("47"), (GARBAGE, 2.5), *keys("11", 3.0))

    assert ended(effects) == [(2, Reason.CARD_UNREADABLE), (1, Reason.OK)]
    assert Concluded(2, Reason.CARD_UNREADABLE, Shape.GARBAGE) in effects


def test_keys_without_a_card_do_nothing() -> None:
    """Where no codes are taken an idle pad gives no sound and collects nothing for later."""
    attempt, effects = play(*keys("4711"), (CARD, 5.0))

    assert effects == [*[NoCode(lone=True)] * 4, Prepare(1, CARD.identifiers), Asked()]
    assert attempt.pad is not None
    assert attempt.pad.digits == ""


def test_numbers_go_on_where_they_ended() -> None:
    """After a restart the next attempt has the number after the highest on record."""
    attempt, (prepare, _) = after(Attempt(number=41, last_number=41), CARD, now(0.0), RULES)

    assert prepare == Prepare(42, CARD.identifiers)
    assert attempt.number == 42


@pytest.mark.parametrize("digits", ["4711", "471#"])
def test_nothing_of_an_attempt_can_be_read_in_a_traceback(digits: str) -> None:
    """The state and all its effects can be printed without PIN, card number or PIN check."""
    attempt, effects = play((CARD, 0.0), *keys(digits))
    text = repr((attempt, effects, KNOWN, CARD, LookAgain(KNOWN)))

    assert attempt.pin == Pin(digits.rstrip("#"))
    for secret in (RIGHT_PIN.reveal(), "471", "3000001234", repr(PATRON.pin_check), repr(ROW_KEY)):
        assert secret not in text


CLEANER = Pass(1, PassKind.CLEANER, day(-9), day(9), needs_pin=False, label="club")


def variants(attempt: Attempt, at: float) -> Iterator[tuple[Event, Now]]:
    """Yield every sort of event, now and at the deadline, with and without a push before it."""
    slow, waiting = replace(KNOWN, delay_s=5.0), replace(KNOWN, throttled=True)
    rows = (
        KNOWN,
        replace(KNOWN, patron=replace(PATRON, pin_check=None)),
        replace(UNKNOWN, held=CLEANER),
        replace(slow, held=CLEANER),
        UNKNOWN,
        slow,
        replace(slow, patron=None),
        waiting,
        replace(slow, throttled=True),
    )
    events: tuple[Event, ...] = (
        CARD,
        OTHER,
        GARBAGE,
        *map(KeyPressed, "17*#"),
        *(replace(row, attempt=attempt.number) for row in rows),
        PrepareFailed(attempt.number),
        *(LibraryAnswered(attempt.number, answer, PATRON) for answer in LibraryAnswer),
        TimePassed(),
        Stalled(),
    )
    times = (at, max(at, attempt.deadline_s or at))
    for event, when, version in product(events, times, (1, 2)):
        yield event, now(when, version)


def sort_of(attempt: Attempt, at: float) -> tuple[object, ...]:
    """Return what the next transition can hang on, so that each sort is visited once."""
    return (
        attempt.phase,
        attempt.pad.digits if attempt.pad else None,
        attempt.code_pad.digits[:6] if attempt.code_pad else None,
        attempt.company is not None,
        attempt.early,
        attempt.pin is not None,
        attempt.prepared and replace(attempt.prepared, attempt=0),
        attempt.cache_version,
        attempt.deadline_s is not None and at >= attempt.deadline_s,
    )


def test_the_table_says_where_each_transition_leads() -> None:
    """Every phase that the table names is reached by it, and no other, however one gets there."""
    seen: dict[tuple[Phase, type[Event]], set[Phase]] = {pair: set() for pair in TRANSITIONS}
    for require_pin, ask_s in product((True, False), (None, 2.0)):
        policy = Policy(require_pin=require_pin, companions_max=1, code_entry=True)
        rules = Rules(policy, PadRules(pin_length=2), ask_s)
        reached = {sort_of(Attempt(), 0.0)}
        open_ends = [(Attempt(), 0.0)]
        while open_ends:
            attempt, at = open_ends.pop()
            for event, when in variants(attempt, at):
                then, _ = after(attempt, event, when, rules)
                seen[attempt.phase, type(event)].add(then.phase)
                if sort_of(then, when.s) not in reached:
                    reached.add(sort_of(then, when.s))
                    open_ends.append((then, when.s))

    assert {pair: set(transition.to) for pair, transition in TRANSITIONS.items()} == seen


PAD_RULES = PadRules(pin_length=4, digit_timeout_s=10.0, total_timeout_s=30.0)


def typed(keys: str, rules: PadRules = PAD_RULES, gap_s: float = 1.0) -> tuple[PinPad, list[str]]:
    """Type keys at a steady pace; return the pad and every PIN that came out."""
    pad, pins = PinPad(rules, 0.0, 0.0), []
    for at, key in enumerate(keys, start=1):
        pad = pad.pressed(key, at * gap_s)
        pin = pad.entered(key)
        if pin is not None:
            pins.append(pin.reveal())
    return pad, pins


@pytest.mark.parametrize("length", [4, 5, 8])
def test_the_length_is_the_rules(length: int) -> None:
    """A PIN is complete at the configured length, no digit earlier."""
    digits = "1234567890"[:length]

    assert typed(digits, PadRules(pin_length=length))[1] == [digits]
    assert typed(digits[:-1], PadRules(pin_length=length))[1] == []


@dataclass
class Model:
    """The pad as a patron would explain it."""

    opened_s: float
    keys: list[str] = field(default_factory=list)
    last_s: float = 0.0

    @property
    def digits(self) -> str:
        """What stands in the pad: the first digits since the latest clear."""
        since_clear = "".join(self.keys).rpartition(CLEAR)[2]
        return since_clear.replace(ENTER, "")[: PAD_RULES.pin_length]


class TypingMachine(RuleBasedStateMachine):
    """Any keys at any times, against the model; full pads are typed on as well."""

    @initialize(at=st.floats(0, 1e6))
    def open(self, at: float) -> None:
        """Read a card."""
        self.now_s = at
        self.pad = PinPad(PAD_RULES, at, at)
        self.model = Model(at, last_s=at)

    @rule(key=st.sampled_from([*"0123456789", ENTER, CLEAR]), gap_s=st.floats(0, 15))
    def press(self, key: str, gap_s: float) -> None:
        """Press a key after a while."""
        self.now_s += gap_s
        self.model.keys.append(key)
        self.model.last_s = self.now_s
        self.pad = self.pad.pressed(key, self.now_s)

        pin = self.pad.entered(key)
        digits = self.model.digits
        complete = len(digits) == PAD_RULES.pin_length or (key == ENTER and digits != "")
        assert (pin is not None) == complete
        assert pin is None or pin.reveal() == digits
        assert "Pin(***)" in repr((pin, self.pad)) or pin is None

    @invariant()
    def agrees(self) -> None:
        """Digits, fullness and deadline are the model's, and no digit is shown."""
        if not hasattr(self, "pad"):
            return
        assert self.pad.digits == self.model.digits
        assert len(self.pad.digits) <= PAD_RULES.pin_length
        assert self.pad.full == (len(self.model.digits) == PAD_RULES.pin_length)
        assert self.pad.deadline_s == min(self.model.last_s + 10, self.model.opened_s + 30)
        assert "digits" not in repr(self.pad)


TestTyping = TypingMachine.TestCase
TestTyping.settings = settings(stateful_step_count=25)
