from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.attempt import Attempt, Phase, after
from doorctl.access.messages import (
    Clicked,
    Concluded,
    Event,
    LookAgain,
    Now,
    Prepared,
    PrepareFailed,
    Rules,
    TimePassed,
)
from doorctl.access.patron import pin_check
from doorctl.access.pin_pad import PadRules
from doorctl.access.policy import Policy
from doorctl.access.reasons import Reason
from doorctl.masked import Identifier, IdentifierKind, Pin
from doorctl.readings import CardRead, CardUnreadable, KeyPressed, Shape
from tests.access.samples import PATRON, RIGHT_PIN, ROW_KEY, STRETCHED, WRONG_PIN, moment

CARD = Identifier(IdentifierKind.CARD, "3000001234")


@dataclass(frozen=True)
class Timed:
    """An event and when it comes."""

    at_s: float
    event: Event


def run(events: list[Timed], pushes: list[float]) -> list[Concluded]:
    """Run a whole attempt in which all deadlines are told and rows are re-read in 0.5 s."""
    rules = Rules(Policy(), PadRules())
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
)
def test_the_right_pin_always_opens(
    entry: list[Timed], prepared_s: float, delay_s: float, pushes: list[float], worn: list[float]
) -> None:
    """Who types the right PIN in time comes in, once, whatever pushes and worn cards do."""
    known = Timed(prepared_s, Prepared(1, STRETCHED, ROW_KEY, PATRON, delay_s=delay_s))
    unreadable = [Timed(at_s, CardUnreadable(Shape.CUT_OFF)) for at_s in worn]

    concluded = run([*entry, known, *unreadable], pushes)

    readable = [it.reason for it in concluded if it.reason is not Reason.CARD_UNREADABLE]
    assert readable == [Reason.OK]


@given(
    story=st.lists(
        st.sampled_from(
            ["card", "worn", "4", "7", "1", "#", "*", "row", "lost", "time", "deadline"]
        )
        | st.just("push"),
        min_size=4,
        max_size=30,
    ),
    delay_s=st.sampled_from([0.0, 5.0]),
    typed_ahead=st.booleans(),
    row_first=st.booleans(),
)
def test_nobody_can_tell_an_unknown_card_from_a_wrong_pin(
    story: list[str], delay_s: float, typed_ahead: bool, row_first: bool
) -> None:
    """Unknown card, wrong PIN and waiting card do the same at the same time, but for the reason."""
    wrong = replace(PATRON, pin_check=pin_check(STRETCHED, WRONG_PIN))
    versions = {
        Reason.UNKNOWN_CARD: Prepared(1, STRETCHED, ROW_KEY, None, delay_s=delay_s),
        Reason.WRONG_PIN: Prepared(1, STRETCHED, ROW_KEY, wrong, delay_s=delay_s),
        Reason.THROTTLED: Prepared(1, STRETCHED, ROW_KEY, PATRON, True, delay_s),
    }
    opening = ["card", *(["row"] if row_first else []), *(["4", "7", "1", "1"] * typed_ahead)]
    told = {reason: tell([*opening, *story], known) for reason, known in versions.items()}

    for reason, signals in told.items():
        assert signals == [
            [replace_reason(effect, reason) for effect in step] if isinstance(step, list) else step
            for step in told[Reason.UNKNOWN_CARD]
        ]


Signal = list[object] | tuple[Phase, float | None]


def replace_reason(effect: object, reason: Reason) -> object:
    """Return a conclusion with another reason, where it was that of an unknown card."""
    if isinstance(effect, Concluded) and effect.reason is Reason.UNKNOWN_CARD:
        return replace(effect, reason=reason)
    return effect


def tell(story: list[str], known: Prepared) -> list[Signal]:
    """Play a story; return what an onlooker with a stop watch could note."""
    rules = Rules(Policy(), PadRules())
    attempt, now_s, version, noted = Attempt(), 0.0, 1, list[Signal]()
    for word in story:
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
        elif word == "deadline":
            now_s = max(now_s, attempt.deadline_s or 0.0)
        elif word == "push":
            version += 1
        elif word != "time":
            event = KeyPressed(word)
        attempt, effects = after(attempt, event, Now(now_s, moment(), version), rules)
        noted.append([None if isinstance(it, LookAgain) else it for it in effects])
        noted.append((attempt.phase, attempt.deadline_s))
    return noted


def test_the_three_refusals_differ_in_nothing_but_the_reason() -> None:
    """The shortest story: card, row, four digits, and the same three signals for all three."""
    wrong = Prepared(1, STRETCHED, ROW_KEY, PATRON)
    story = ["card", "row", "4", "7", "1", "4"]

    ends = {
        known.patron is None: [step for step in tell(story, known) if isinstance(step, list)][-1]
        for known in (wrong, replace(wrong, patron=None))
    }

    assert ends[True] == [Concluded(1, Reason.UNKNOWN_CARD), Clicked()]
    assert ends[False] == [Concluded(1, Reason.WRONG_PIN), Clicked()]
    assert Pin("4714") != RIGHT_PIN
