from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.attempt import Attempt, Phase, after
from doorctl.access.messages import (
    AskLibrary,
    Clicked,
    Concluded,
    Effect,
    Event,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    Now,
    PadRules,
    Prepared,
    PrepareFailed,
    Rules,
    TimePassed,
)
from doorctl.access.patron import BEFORE_PROOF, Patron, Reason, pin_check
from doorctl.access.policy import Policy
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Shape
from tests.access.samples import NOW, PATRON, ROW_KEY, STRETCHED, WRONG_PIN, day, moment

CARD = Identifier(IdentifierKind.CARD, "3000001234")
POLICY, PAD = Policy(), PadRules()
NOT_YES = [LibraryAnswer.NO, LibraryAnswer.WAITS, LibraryAnswer.SILENT]


@dataclass(frozen=True)
class Timed:
    """An event and when it comes."""

    at_s: float
    event: Event


def run(
    events: list[Timed],
    pushes: list[float],
    *,
    ask_s: float | None = None,
    yes_after_s: float = 0.0,
    lent: Patron | None = None,
) -> list[Concluded]:
    """Run a whole attempt in which all deadlines are told and rows are re-read in 0.5 s.

    The library system says yes so long after it was asked.
    """
    rules = Rules(POLICY, PAD, ask_s)
    attempt, concluded, queue = Attempt(), list[Concluded](), list(events)
    while queue or attempt.deadline_s is not None:
        queue.sort(key=lambda timed: timed.at_s)
        due_s = attempt.deadline_s
        late = not queue or (due_s is not None and due_s <= queue[0].at_s)
        timed = Timed(due_s or 0.0, TimePassed()) if late else queue.pop(0)
        version = 1 + sum(push <= timed.at_s for push in pushes)
        attempt, effects = after(attempt, timed.event, Now(timed.at_s, moment(), version), rules)
        for effect in effects:
            if isinstance(effect, LookAgain):
                queue.append(Timed(timed.at_s + 0.5, effect.prepared))
            if isinstance(effect, AskLibrary):
                yes = LibraryAnswered(effect.prepared.attempt, LibraryAnswer.YES, lent)
                queue.append(Timed(timed.at_s + yes_after_s, yes))
            if isinstance(effect, Concluded):
                concluded.append(effect)
    return concluded


@st.composite
def entered(draw: st.DrawFn) -> list[Timed]:
    """Draw a card and the right PIN, typed with corrections, each key in time."""
    keys = draw(st.sampled_from(["4711", "*4711", "12*4711", "4*7*4711", "#4711"]))
    gaps_s = draw(st.lists(st.floats(0.05, 3.7), min_size=len(keys), max_size=len(keys)))
    pressed = [
        Timed(at_s, KeyPressed(key)) for at_s, key in zip(accumulate(gaps_s), keys, strict=True)
    ]
    return [Timed(0.0, CardRead((CARD,))), *pressed]


@given(
    entry=entered(),
    prepared_s=st.floats(0, 4.9),
    delay_s=st.sampled_from([0.0, 5.0]),
    pushes=st.lists(st.floats(0, 40), max_size=4),
    worn=st.lists(st.floats(0, 40), max_size=2),
    ask_s=st.sampled_from([None, 2.0]),
)
def test_the_right_pin_always_opens(
    *,
    entry: list[Timed],
    prepared_s: float,
    delay_s: float,
    pushes: list[float],
    worn: list[float],
    ask_s: float | None,
) -> None:
    """Who types the right PIN in time comes in, once, whatever pushes and worn cards do."""
    known = Timed(prepared_s, Prepared(1, STRETCHED, ROW_KEY, PATRON, delay_s=delay_s))
    unreadable = [Timed(at_s, CardUnreadable(Shape.CUT_OFF)) for at_s in worn]

    concluded = run([*entry, known, *unreadable], pushes, ask_s=ask_s)

    readable = [it.reason for it in concluded if it.reason is not Reason.CARD_UNREADABLE]
    assert readable == [Reason.OK]


@given(
    entry=entered(),
    asked=st.sampled_from(["unknown card", "no PIN", "learnt long ago", "changed since learnt"]),
    delay_s=st.sampled_from([0.0, 5.0]),
    pushes=st.lists(st.floats(0, 40), max_size=4),
    yes_after_s=st.floats(0, 1.9),
)
def test_who_is_known_to_the_library_system_alone_comes_in(
    entry: list[Timed], asked: str, delay_s: float, pushes: list[float], yes_after_s: float
) -> None:
    """A yes in time opens, once, whatever pushes come that don't speak of this card."""
    known = Timed(0.5, replace(VERSIONS[asked][0], delay_s=delay_s))

    concluded = run([*entry, known], pushes, ask_s=2.0, yes_after_s=yes_after_s, lent=PATRON)

    assert [it.reason for it in concluded] == [Reason.OK]


BEFORE = Prepared(1, STRETCHED, ROW_KEY, PATRON)
WRONG_CHECK = pin_check(STRETCHED, WRONG_PIN)
VERSIONS = {
    "unknown card": (replace(BEFORE, patron=None), Reason.UNKNOWN_CARD),
    "wrong PIN": (replace(BEFORE, patron=replace(PATRON, pin_check=WRONG_CHECK)), Reason.WRONG_PIN),
    "waiting card": (replace(BEFORE, throttled=True), Reason.THROTTLED),
    "waiting unknown card": (replace(BEFORE, patron=None, throttled=True), Reason.UNKNOWN_CARD),
    "no PIN": (replace(BEFORE, patron=replace(PATRON, pin_check=None)), Reason.PIN_UNKNOWN),
    "learnt long ago": (
        replace(BEFORE, patron=replace(PATRON, pin_until=day(-1))),
        Reason.PIN_UNKNOWN,
    ),
    "changed since learnt": (
        replace(BEFORE, patron=replace(PATRON, pin_check=WRONG_CHECK, pin_until=day(5))),
        Reason.WRONG_PIN,
    ),
}
"""Everybody who proves nothing by typing 4711, and how it ends if nobody else knows better."""

CLUB = Pass(1, PassKind.ASSOCIATION, day(2), day(9), label="club")
OWN_CHECK = pin_check(STRETCHED, Pin("8802"))
PASS_VERSIONS = {
    "a pass that has not begun": (
        replace(BEFORE, patron=None, held=replace(CLUB, needs_pin=False)),
        Reason.UNKNOWN_CARD,
    ),
    "a patron with one": (
        replace(VERSIONS["wrong PIN"][0], held=replace(CLUB, needs_pin=False)),
        Reason.WRONG_PIN,
    ),
    "a pass with its own PIN": (
        replace(BEFORE, patron=None, held=replace(CLUB, first_day=day(0), pin_check=OWN_CHECK)),
        Reason.WRONG_PIN,
    ),
    "a waiting pass": (
        replace(BEFORE, patron=None, throttled=True, held=replace(CLUB, first_day=day(0))),
        Reason.THROTTLED,
    ),
    "a banned pass": (
        replace(
            BEFORE,
            patron=None,
            held=replace(CLUB, first_day=day(0), needs_pin=False),
            bans=(Ban(1, "shouting", NOW - timedelta(days=1), None, "staff-7", frozenset("*")),),
        ),
        Reason.UNKNOWN_CARD,
    ),
    "a pass of an unknown PIN": (
        replace(BEFORE, patron=None, held=replace(CLUB, first_day=day(0))),
        Reason.PIN_UNKNOWN,
    ),
    "the PIN below the right one": (
        replace(BEFORE, patron=replace(PATRON, pin_check=pin_check(STRETCHED, Pin("4712")))),
        Reason.WRONG_PIN,
    ),
}
"""Some more of them: people with passes that open nothing now, and one whom duress touches."""

EVERYBODY = VERSIONS | PASS_VERSIONS

WORDS = ["card", "worn", "4", "7", "1", "#", "*", "row", "lost", "time", "deadline", "push"]
stories = st.lists(
    st.sampled_from([*WORDS, "deadline", "library", "library"]), min_size=4, max_size=30
)
openings = st.builds(
    lambda typed_ahead, row_first: [
        "card",
        *(["row"] if row_first else []),
        *(["4", "7", "1", "1"] * typed_ahead),
    ],
    st.booleans(),
    st.booleans(),
)
delays = st.sampled_from([0.0, 5.0])


@given(openings, stories, delays, st.booleans())
def test_nobody_can_tell_an_unknown_card_from_a_wrong_pin(
    opening: list[str], story: list[str], delay_s: float, duress: bool
) -> None:
    """All refusals before the proof do the same at the same time, but for the reason."""
    noted = []
    rules = Rules(replace(POLICY, duress=duress, companions_max=9, code_entry=True), PAD)
    for known, reason in EVERYBODY.values():
        signals = tell([*opening, *story], replace(known, delay_s=delay_s), rules)
        assert reasons_in(signals) <= {reason}
        noted.append([seen(signal) for signal in signals])

    assert all(signals == noted[0] for signals in noted)


@given(openings, stories, delays, st.data())
def test_nobody_can_tell_who_the_library_system_was_asked_about(
    opening: list[str], story: list[str], delay_s: float, data: st.DataObject
) -> None:
    """Asked or not, answered with anything but yes or not at all: the same at the same time."""
    policy = replace(POLICY, duress=data.draw(st.booleans()))
    rules = Rules(policy, PAD, data.draw(st.sampled_from([0.75, 2.0])))
    noted = []
    for known, _ in EVERYBODY.values():
        answers = data.draw(st.lists(st.sampled_from(NOT_YES), min_size=1, max_size=3))
        told = tell([*opening, *story], replace(known, delay_s=delay_s), rules, answers)
        noted.append([seen(signal) for signal in told])

    assert all(signals == noted[0] for signals in noted)


Signal = list[Effect] | tuple[Phase, float | None]


def reasons_in(signals: list[Signal]) -> set[Reason]:
    """Return how guesses ended."""
    steps = [step for step in signals if isinstance(step, list)]
    ends = {it.reason for step in steps for it in step if isinstance(it, Concluded)}
    return ends & BEFORE_PROOF


def seen(signal: Signal) -> object:
    """Return what an onlooker with a stop watch could note: no reason and no question."""
    if isinstance(signal, tuple):
        phase, deadline_s = signal
        return Phase.WITHHELD if phase is Phase.ASKING else phase, deadline_s
    return [shown(effect) for effect in signal if not isinstance(effect, AskLibrary)]


def shown(effect: Effect) -> object:
    """Return an effect without what tells one version from another."""
    if isinstance(effect, Concluded) and effect.reason in BEFORE_PROOF:
        return replace(effect, reason=Reason.UNKNOWN_CARD, unchecked=False)
    return LookAgain if isinstance(effect, LookAgain) else effect


def tell(
    story: list[str],
    known: Prepared,
    rules: Rules,
    answers: Sequence[LibraryAnswer] = (LibraryAnswer.SILENT,),
) -> list[Signal]:
    """Play a story; return each step's effects and what it leads to."""
    attempt, now_s, version, noted = Attempt(), 0.0, 1, list[Signal]()
    for at, word in enumerate(story):
        now_s += 0.25
        event: Event = TimePassed()
        if word == "card":
            event = CardRead((CARD,))
        elif word == "worn":
            event = CardUnreadable(Shape.GARBAGE)
        elif word == "row":
            event = replace(known, attempt=attempt.number)
        elif word == "lost":
            event = PrepareFailed(attempt.number)
        elif word == "library":
            event = LibraryAnswered(attempt.number, answers[at % len(answers)])
        elif word == "deadline":
            now_s = max(now_s, attempt.deadline_s or 0.0)
        elif word == "push":
            version += 1
        elif word != "time":
            event = KeyPressed(word)
        attempt, effects = after(attempt, event, Now(now_s, moment(), version), rules)
        noted.append(list(effects))
        noted.append((attempt.phase, attempt.deadline_s))
    return noted


@given(openings, stories, delays)
def test_nobody_can_tell_a_pin_under_duress(
    opening: list[str], story: list[str], delay_s: float
) -> None:
    """Who is forced to type a PIN gives the same signals at the same time as who is not."""
    rules = Rules(replace(POLICY, duress=True, companions_max=9), PAD)
    below = replace(PATRON, pin_check=pin_check(STRETCHED, Pin("4710")))
    noted = []
    for patron in (PATRON, below):
        known = replace(BEFORE, patron=patron, delay_s=delay_s)
        signals = tell([*opening, *story], known, rules)
        noted.append([unflagged(signal) for signal in signals])

    assert noted[0] == noted[1]


def unflagged(signal: Signal) -> object:
    """Return a step as it is seen at the door, where no flag shows; rows are one's own affair."""
    if isinstance(signal, tuple):
        return signal
    shown_at_door = [
        replace(effect, duress=False) if isinstance(effect, Concluded) else effect
        for effect in signal
    ]
    return [LookAgain if isinstance(effect, LookAgain) else effect for effect in shown_at_door]


@pytest.mark.parametrize("name", EVERYBODY)
def test_the_refusals_differ_in_nothing_but_the_reason(name: str) -> None:
    """The shortest story: card, row, four digits, and at once or later the same signals."""
    known, reason = EVERYBODY[name]
    story = ["card", "row", "4", "7", "1", "1"]

    assert tell(story, known, Rules(POLICY, PAD))[-2:] == [
        [Concluded(1, reason), Clicked()],
        (Phase.IDLE, None),
    ]
    *_, (_, due_s), told, end = tell([*story, "deadline"], known, Rules(POLICY, PAD, 2.0))
    assert (due_s, told, end) == (3.5, [Concluded(1, reason)], (Phase.IDLE, None))
