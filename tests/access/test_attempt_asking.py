"""What happens when the cache can't judge a card and the library system may be asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.attempt import PREPARE_LIMIT_S, Attempt, Phase, after
from doorctl.access.calendar import Mode
from doorctl.access.messages import (
    AskLibrary,
    Concluded,
    Effect,
    LibraryAnswer,
    LibraryAnswered,
    LookAgain,
    Now,
    PadRules,
    Prepared,
    Rules,
    Stalled,
    TimePassed,
)
from doorctl.access.patron import BEFORE_PROOF, Patron, Reason
from doorctl.access.policy import Case, Policy, WeakPin, findings
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.core.masked import Pin
from doorctl.core.moments import ClockState
from doorctl.core.readings import KeyPressed
from tests.access.samples import (
    NOW,
    PATRON,
    RIGHT_PIN,
    ROW_KEY,
    STRETCHED,
    WRONG_PIN,
    day,
    moment,
    reason_of,
)
from tests.access.telling import (
    CARD,
    KNOWN,
    NO_PIN_RULES,
    OTHER,
    RULES,
    UNKNOWN,
    ended,
    keys,
    now,
    play,
)
from tests.access.test_judging import STAFF, verdict
from tests.access.test_policy import cases, policies

RIGHT, WRONG = RIGHT_PIN.reveal(), WRONG_PIN.reveal()
YES, NO = LibraryAnswer.YES, LibraryAnswer.NO
WAITS, SILENT = LibraryAnswer.WAITS, LibraryAnswer.SILENT

ASK_S = 2.0
ASKING_RULES = replace(RULES, ask_s=ASK_S)
TYPED_S = 4.0
"""When the last digit comes."""

TOLD_S = TYPED_S + ASK_S

NO_PIN = replace(KNOWN, patron=replace(PATRON, pin_check=None))
OUTDATED = replace(KNOWN, patron=replace(PATRON, pin_until=day(-1)))
LEARNT = replace(KNOWN, patron=replace(PATRON, pin_until=day(0)))
WAITING = replace(KNOWN, throttled=True)
LENT = replace(PATRON, patron_ref="1002", pin_check=None)
BLOCKED = replace(PATRON, blocks=frozenset("O"))

ASKED = {
    "no row": (UNKNOWN, RIGHT, Reason.UNKNOWN_CARD),
    "no PIN": (NO_PIN, RIGHT, Reason.PIN_UNKNOWN),
    "PIN learnt too long ago": (OUTDATED, RIGHT, Reason.PIN_UNKNOWN),
    "learnt PIN that is another": (LEARNT, WRONG, Reason.WRONG_PIN),
}
NOT_ASKED = {
    "pushed PIN that is another": (KNOWN, WRONG, Reason.WRONG_PIN),
    "card that waits": (WAITING, RIGHT, Reason.THROTTLED),
    "unknown card that waits": (replace(UNKNOWN, throttled=True), RIGHT, Reason.UNKNOWN_CARD),
    "card without PIN that waits": (replace(NO_PIN, throttled=True), RIGHT, Reason.THROTTLED),
}


def typed(
    row: Prepared, digits: str = RIGHT, rules: Rules = ASKING_RULES
) -> tuple[Attempt, list[Effect]]:
    """Read a card and type a PIN, the last digit at `TYPED_S`."""
    return play((CARD, 0.0), (row, 0.5), *keys(digits), rules=rules)


def answered(
    row: Prepared,
    answer: LibraryAnswered,
    *,
    at_s: float = TYPED_S + 1.0,
    version: int | None = 1,
    digits: str = RIGHT,
    rules: Rules = ASKING_RULES,
) -> tuple[Attempt, tuple[Effect, ...]]:
    """Go on to the library system's answer; return the attempt and what it brought about."""
    attempt, _ = typed(row, digits, rules)
    assert attempt.phase is Phase.ASKING
    return after(attempt, answer, now(at_s, version), rules)


def looked_up(
    step: tuple[Attempt, tuple[Effect, ...]], when: Now, rules: Rules = ASKING_RULES
) -> tuple[Attempt, tuple[Effect, ...]]:
    """Answer the question for the bans of a patron whose row was lent, if there is one."""
    attempt, effects = step
    if not (effects and isinstance(effects[0], LookAgain)):
        return step
    return after(attempt, effects[0].prepared, when, rules)


@pytest.mark.parametrize("case", ASKED)
def test_whom_the_library_system_is_asked_about(case: str) -> None:
    """A card that the cache can't judge is asked about at once, with the PIN as typed."""
    row, digits, reason = ASKED[case]
    attempt, effects = typed(row, digits)

    (asked,) = [effect for effect in effects if isinstance(effect, AskLibrary)]
    assert (asked.prepared, asked.pin.reveal()) == (row, digits)
    assert (attempt.phase, attempt.withheld) == (Phase.ASKING, reason)
    assert attempt.deadline_s == TOLD_S
    assert ended(effects) == []


@pytest.mark.parametrize("case", NOT_ASKED)
def test_whom_it_is_not_asked_about(case: str) -> None:
    """A pushed PIN is its own word, and a card that waits gets no guess; the refusal is late."""
    row, digits, reason = NOT_ASKED[case]
    attempt, effects = typed(row, digits)

    assert not any(isinstance(effect, AskLibrary) for effect in effects)
    assert (attempt.phase, attempt.withheld) == (Phase.WITHHELD, reason)
    assert attempt.deadline_s == TOLD_S
    assert ended(effects) == []


@pytest.mark.parametrize("state", ClockState)
@pytest.mark.parametrize(
    ("mode", "no_entry", "phase"),
    [
        (Mode.SELF_SERVICE, False, Phase.ASKING),
        (Mode.STAFFED, False, Phase.ASKING),
        (Mode.SELF_SERVICE, True, Phase.WITHHELD),
        (Mode.CLOSED, False, Phase.WITHHELD),
        (Mode.LOCKDOWN, False, Phase.WITHHELD),
        (None, False, Phase.WITHHELD),
    ],
)
def test_no_guess_is_spent_at_a_closed_door(
    mode: Mode | None, state: ClockState, phase: Phase, *, no_entry: bool
) -> None:
    """Where nobody would come in, or nobody knows, nobody is asked; the time is the same."""
    before, _ = play((CARD, 0.0), (UNKNOWN, 0.5), *keys("471"), rules=ASKING_RULES)
    now_ = Now(TYPED_S, moment(state), 1, mode, no_entry)
    attempt, _ = after(before, KeyPressed("1"), now_, ASKING_RULES)

    assert (attempt.phase, attempt.deadline_s) == (phase, TOLD_S)


def test_at_a_closed_door_a_guess_is_spent_for_a_pass() -> None:
    """Staff who set a new PIN this morning come in by it before the branch opens."""
    held = Pass(1, PassKind.STAFF, day(-20), day(20), label="staff")
    row = replace(UNKNOWN, held=held)
    before, _ = play((CARD, 0.0), (row, 0.5), *keys("471"), rules=ASKING_RULES)
    closed = Now(TYPED_S, moment(), 1, Mode.CLOSED)
    attempt, effects = after(before, KeyPressed("1"), closed, ASKING_RULES)

    assert attempt.phase is Phase.ASKING
    assert [effect.prepared for effect in effects if isinstance(effect, AskLibrary)] == [row]


@pytest.mark.parametrize("case", ASKED)
def test_yes_opens_at_once(case: str) -> None:
    """Whose PIN the library system knows comes in, and nothing of the attempt is kept."""
    row, digits, _ = ASKED[case]
    lent = LENT if row.patron is None else None
    step = answered(row, LibraryAnswered(1, YES, lent), digits=digits)
    attempt, effects = looked_up(step, now(5.0))

    assert effects == (Concluded(1, Reason.OK, proved=True),)
    assert attempt == Attempt(number=1, last_number=1)


@pytest.mark.parametrize("row", [UNKNOWN, NO_PIN])
@pytest.mark.parametrize(
    ("against", "reason"),
    [
        ({"blocks": frozenset("O")}, Reason.BLOCKED),
        ({"resident": False}, Reason.NOT_RESIDENT),
        ({"restricted": True}, Reason.RESTRICTED),
        ({"valid_until": day(-1)}, Reason.EXPIRED),
        ({"enter_from": day(1)}, Reason.UNDER_AGE),
    ],
)
def test_yes_is_no_way_around_the_rules(
    row: Prepared, against: dict[str, object], reason: Reason
) -> None:
    """A proved PIN brings in nobody whom another rule keeps out, and that is told at once."""
    patron = replace(PATRON, pin_check=None, **against)  # type: ignore[arg-type]
    kept, lent = (None, patron) if row.patron is None else (patron, None)
    step = answered(replace(row, patron=kept), LibraryAnswered(1, YES, lent))
    _, effects = looked_up(step, now(5.0))

    assert effects == (Concluded(1, reason, proved=True),)


@pytest.mark.parametrize("state", ClockState)
def test_a_lent_row_is_fresh_and_the_caches_is_not(state: ClockState) -> None:
    """The cache's age and age limit bind the cache's rows, not one that was lent just now."""
    rules = replace(ASKING_RULES, policy=Policy(max_cache_age_h=1.0, minimum_age=15))
    old = NOW.astimezone(UTC) - timedelta(days=30)
    yes = LibraryAnswered(1, YES, LENT)
    too_old = Reason.CACHE_TOO_OLD
    for row, sealed_for, expected in ((UNKNOWN, 0, Reason.OK), (NO_PIN, 15, too_old)):
        stale = replace(row, cache_applied_at=old, cache_minimum_age=sealed_for)
        attempt, _ = typed(stale, rules=rules)
        when = Now(5.0, moment(state), 1)
        _, effects = looked_up(after(attempt, yes, when, rules), when, rules)
        assert effects == (Concluded(1, expected, proved=True),)


@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("answer", [NO, WAITS, SILENT])
def test_any_other_answer_is_told_when_it_would_be_due(case: str, answer: LibraryAnswer) -> None:
    """However early the answer, the refusal comes at the deadline, with what it came to."""
    row, digits, cached = ASKED[case]
    refused = Reason.UNKNOWN_CARD if row.patron is None else Reason.WRONG_PIN
    expected = {NO: refused, WAITS: Reason.THROTTLED, SILENT: cached}[answer]

    waiting, effects = answered(row, LibraryAnswered(1, answer), digits=digits)

    assert effects == ()
    assert (waiting.phase, waiting.deadline_s) == (Phase.WITHHELD, TOLD_S)
    assert after(waiting, TimePassed(), now(TOLD_S - 0.001), ASKING_RULES) == (waiting, ())
    _, effects = after(waiting, TimePassed(), now(TOLD_S), ASKING_RULES)
    unchecked = answer is SILENT and cached is not Reason.WRONG_PIN
    assert effects == (Concluded(1, expected, unchecked=unchecked),)


@pytest.mark.parametrize("case", ASKED)
def test_nobody_waits_longer_for_no_answer(case: str) -> None:
    """Without any answer the refusal of the cache is told at the same deadline."""
    row, digits, reason = ASKED[case]
    attempt, _ = typed(row, digits)

    assert after(attempt, TimePassed(), now(TOLD_S - 0.001), ASKING_RULES) == (attempt, ())
    _, effects = after(attempt, TimePassed(), now(TOLD_S), ASKING_RULES)
    assert effects == (Concluded(1, reason),)


@pytest.mark.parametrize("late_s", [0.0, 0.001, 600.0])
def test_a_late_yes_opens_nothing(late_s: float) -> None:
    """An answer that a busy loop takes after the deadline is too late: who stands there now?"""
    late, effects = answered(UNKNOWN, LibraryAnswered(1, YES, LENT), at_s=TOLD_S + late_s)

    assert effects == ()
    _, effects = after(late, TimePassed(), now(TOLD_S + late_s), ASKING_RULES)
    assert effects == (Concluded(1, Reason.UNKNOWN_CARD),)


@pytest.mark.parametrize("answer", LibraryAnswer)
def test_an_answer_that_nobody_waits_for_does_nothing(answer: LibraryAnswer) -> None:
    """Only an attempt that asked hears an answer, once, and only its own."""
    told = LibraryAnswered(1, answer, LENT)
    slow = replace(UNKNOWN, delay_s=5.0)
    others = [
        play(rules=ASKING_RULES),
        play((CARD, 0.0), (UNKNOWN, 0.5), rules=ASKING_RULES),
        play((CARD, 0.0), *keys(RIGHT), rules=ASKING_RULES),
        play((CARD, 0.0), (slow, 0.5), *keys(RIGHT), rules=ASKING_RULES),
        typed(KNOWN, WRONG),
    ]

    phases = set()
    for attempt, _ in others:
        phases.add(attempt.phase)
        told_it = replace(told, attempt=attempt.number)
        assert after(attempt, told_it, now(5.0), ASKING_RULES) == (attempt, ())
    assert phases == set(Phase) - {Phase.ASKING}


def test_yes_to_one_attempt_opens_no_other() -> None:
    """The answer about the first card never lets the second one in, though it asks as well."""
    second = replace(UNKNOWN, attempt=2)
    steps = [(CARD, 0.0), (UNKNOWN, 0.5), *keys(RIGHT), (OTHER, 4.5), (second, 4.6)]
    attempt, _ = play(*steps, *keys(RIGHT, 4.7), rules=ASKING_RULES)
    assert (attempt.phase, attempt.number) == (Phase.ASKING, 2)

    for number in (0, 1, 3):
        wrong = LibraryAnswered(number, YES, LENT)
        assert after(attempt, wrong, now(8.0), ASKING_RULES) == (attempt, ())
    step = after(attempt, LibraryAnswered(2, YES, LENT), now(8.0), ASKING_RULES)
    assert looked_up(step, now(8.0))[1] == (Concluded(2, Reason.OK, proved=True),)


@pytest.mark.parametrize(
    ("row", "pushed", "reason"),
    [
        (UNKNOWN, None, Reason.OK),
        (UNKNOWN, BLOCKED, Reason.BLOCKED),
        (UNKNOWN, NO_PIN.patron, Reason.OK),
        (NO_PIN, NO_PIN.patron, Reason.OK),
        (NO_PIN, BLOCKED, Reason.BLOCKED),
        (NO_PIN, None, Reason.UNKNOWN_CARD),
    ],
)
def test_a_push_between_question_and_answer_is_obeyed(
    row: Prepared, pushed: object, reason: Reason
) -> None:
    """What a push brought, changed or took away counts, whatever was lent; nobody asks again."""
    lent = replace(LENT, resident=True)
    again, (look,) = answered(row, LibraryAnswered(1, YES, lent), version=2)
    assert isinstance(look, LookAgain)
    assert look.prepared.proved
    assert (again.phase, again.deadline_s) == (Phase.CHECKING, TYPED_S + 1.0 + PREPARE_LIMIT_S)
    assert again.withheld is None

    read = replace(look.prepared, patron=pushed)  # type: ignore[arg-type]
    _, effects = after(again, read, now(5.5, 2), ASKING_RULES)
    proved = reason not in BEFORE_PROOF
    assert effects == (Concluded(1, reason, proved=proved),)


def test_a_row_that_one_push_brings_and_the_next_takes_is_gone() -> None:
    """A row that was lent before both is older than what the second one says."""
    again, (look,) = answered(UNKNOWN, LibraryAnswered(1, YES, LENT), version=2)
    assert isinstance(look, LookAgain)
    brought = replace(look.prepared, patron=PATRON)
    again, (look,) = after(again, brought, now(5.5, 3), ASKING_RULES)
    assert isinstance(look, LookAgain)
    _, effects = after(again, replace(look.prepared, patron=None), now(5.6, 3), ASKING_RULES)

    assert effects == (Concluded(1, Reason.UNKNOWN_CARD),)


def test_the_bans_of_whom_the_library_system_names_are_looked_up() -> None:
    """A new card of a banned patron opens nothing: whose it is, only the answer tells.

    Bug (decision tables): a banned patron's new card, lent by the library system, would have
    opened.
    """
    again, (look,) = answered(UNKNOWN, LibraryAnswered(1, YES, LENT))
    assert isinstance(look, LookAgain)
    assert (look.prepared.lent, look.prepared.proved) == (LENT, True)
    assert (again.phase, again.withheld) == (Phase.CHECKING, None)

    ban = Ban(1, "shouting", NOW - timedelta(days=1), None, "staff-7", frozenset({"*"}))
    _, effects = after(again, replace(look.prepared, bans=(ban,)), now(5.1), ASKING_RULES)
    assert effects == (Concluded(1, Reason.BANNED, proved=True),)


def test_yes_without_a_row_opens_nothing() -> None:
    """A right PIN of somebody of whom nothing is known proves no right to come in."""
    _, effects = answered(UNKNOWN, LibraryAnswered(1, YES))

    assert effects == (Concluded(1, Reason.UNKNOWN_CARD),)


def test_yes_while_the_cache_is_away_opens_nothing() -> None:
    """Without a version nobody knows whether a push has blocked the card: a fault."""
    _, effects = answered(UNKNOWN, LibraryAnswered(1, YES, LENT), version=None)

    assert effects == (Concluded(1, Reason.FAULT),)


@pytest.mark.parametrize("case", [*ASKED, *NOT_ASKED])
@pytest.mark.parametrize("answer", [None, NO, WAITS, SILENT])
def test_a_new_swipe_makes_no_guess_free(case: str, answer: LibraryAnswer | None) -> None:
    """Attack: swipe another card before the refusal is told. The guess is charged all the same."""
    row, digits, reason = (ASKED | NOT_ASKED)[case]
    attempt, _ = typed(row, digits)
    if answer is not None:
        attempt, _ = after(attempt, LibraryAnswered(1, answer), now(4.1), ASKING_RULES)

    begun, effects = after(attempt, OTHER, now(4.2), ASKING_RULES)

    superseded = effects[0]
    assert isinstance(superseded, Concluded)
    assert (superseded.attempt, superseded.silent) == (1, True)
    assert superseded.reason in BEFORE_PROOF
    never_compared = case in ASKED and reason is not Reason.WRONG_PIN
    unchecked = answer is SILENT and never_compared
    assert superseded.unchecked is unchecked, "while it is out it stays charged"
    assert (begun.phase, begun.number, begun.withheld) == (Phase.TYPING, 2, None)


@pytest.mark.parametrize("case", [*ASKED, *NOT_ASKED])
def test_standing_still_makes_no_guess_free(case: str) -> None:
    """A daemon that stood still tells what was withheld: the guess was made before."""
    row, digits, reason = (ASKED | NOT_ASKED)[case]
    attempt, _ = typed(row, digits)
    _, effects = after(attempt, Stalled(), now(700.0), ASKING_RULES)

    assert effects == (Concluded(1, reason),)


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
def test_a_late_row_and_a_slowed_reader_ask_as_well(delay_s: float) -> None:
    """The question counts from when the card could be judged, asked or not."""
    for row, phase in ((UNKNOWN, Phase.ASKING), (WAITING, Phase.WITHHELD)):
        late = replace(row, delay_s=delay_s)
        attempt, _ = play((CARD, 0.0), *keys(RIGHT), (late, 4.5), rules=ASKING_RULES)
        if delay_s:
            attempt, _ = after(attempt, TimePassed(), now(4.5 + delay_s), ASKING_RULES)
        assert (attempt.phase, attempt.deadline_s) == (phase, 4.5 + delay_s + ASK_S)


@pytest.mark.parametrize("case", [*ASKED, *NOT_ASKED])
def test_who_may_not_ask_refuses_at_once(case: str) -> None:
    """A branch that never asks tells every refusal as soon as it is known."""
    row, digits, reason = (ASKED | NOT_ASKED)[case]

    assert ended(typed(row, digits, RULES)[1]) == [(1, reason)]


def test_a_card_without_a_pin_is_never_asked_about() -> None:
    """Where the card is enough there is no PIN to ask with, and nothing to withhold."""
    rules = replace(NO_PIN_RULES, ask_s=ASK_S)

    assert ended(play((CARD, 0.0), (UNKNOWN, 0.5), rules=rules)[1]) == [(1, Reason.UNKNOWN_CARD)]
    for row in (NO_PIN, OUTDATED):
        assert ended(play((CARD, 0.0), (row, 0.5), rules=rules)[1]) == [(1, Reason.OK)]


@pytest.mark.parametrize(("row", "digits"), [(UNKNOWN, RIGHT), (KNOWN, WRONG)])
def test_the_pin_is_not_kept_while_a_refusal_is_withheld(row: Prepared, digits: str) -> None:
    """It goes out with the question; a memory dump of the wait holds none."""
    attempt, effects = typed(row, digits)

    assert attempt.pin is None
    assert digits not in repr((attempt, effects))
    if attempt.phase is Phase.WITHHELD:
        assert attempt.prepared is None


def test_a_proved_pin_is_kept_out_by_nothing_that_precedes_the_proof() -> None:
    """With any row and any sort of check, yes is enough of a proof."""
    checks = (None, PATRON.pin_check)
    for check, until in product(checks, (None, day(-1), day(5))):
        patron = replace(PATRON, pin_check=check, pin_until=until)
        again, (look,) = answered(UNKNOWN, LibraryAnswered(1, YES, LENT), version=2)
        assert isinstance(look, LookAgain)
        read = replace(look.prepared, patron=patron)
        assert after(again, read, now(5.5, 2), Rules(Policy(), PadRules(), ASK_S))[1] == (
            Concluded(1, Reason.OK, proved=True),
        )


# What a PIN that is too easy to guess comes to, by the branch's policy.

WEAK = replace(KNOWN, patron=replace(PATRON, weak_pin=True))
REFUSE, WARN = Policy(weak_pin=WeakPin.REFUSE), Policy(weak_pin=WeakPin.WARN)
ALLOW = Policy(weak_pin=WeakPin.ALLOW)
NO_PIN_REFUSE, NO_PIN_WARN = replace(REFUSE, require_pin=False), replace(WARN, require_pin=False)


@pytest.mark.parametrize(
    ("prepared", "pin", "policies", "reason", "warned"),
    [
        # It opens, opens with a word, or is refused: after the proof nothing is hidden.
        (WEAK, RIGHT_PIN, [ALLOW], Reason.OK, False),
        (WEAK, RIGHT_PIN, [Policy(), WARN], Reason.OK, True),
        (WEAK, RIGHT_PIN, [REFUSE], Reason.WEAK_PIN, False),
        # Another PIN is not spoken of, and who guesses does not learn that it is an easy one.
        (KNOWN, RIGHT_PIN, [Policy(), WARN, REFUSE], Reason.OK, False),
        (WEAK, WRONG_PIN, [Policy(), WARN, REFUSE], Reason.WRONG_PIN, False),
        # A row may say so where no PIN is required: it was sealed for other branches too.
        (WEAK, None, [NO_PIN_WARN, NO_PIN_REFUSE], Reason.OK, False),
        (replace(KNOWN, patron=None), RIGHT_PIN, [WARN, REFUSE], Reason.UNKNOWN_CARD, False),
        # A pass takes no right away and gives none to the patron: so nothing is said either.
        (replace(WEAK, held=STAFF), RIGHT_PIN, [REFUSE], Reason.OK, False),
    ],
)
def test_what_a_weak_pin_comes_to(
    prepared: Prepared, pin: Pin | None, policies: list[Policy], reason: Reason, *, warned: bool
) -> None:
    """By the branch's policy, and only where the patron's own PIN opened."""
    for policy in policies:
        end = verdict(prepared, pin, policy=policy)
        assert (end.reason, end.weak_pin) == (reason, warned)


def test_staff_who_ask_why_are_told() -> None:
    """Without a swipe: the row says it."""
    case = Case(WEAK.patron, moment())

    assert findings(REFUSE, case)[-1].refused_with is Reason.WEAK_PIN
    assert findings(WARN, case)[-1].refused_with is None


@given(policies, cases, st.sampled_from(WeakPin))
def test_a_weak_pin_never_turns_a_refusal_into_a_grant(
    policy: Policy, case: Case, stricter: WeakPin
) -> None:
    """Nor does any of the three policies let somebody in whom `allow` keeps out."""
    patron = case.patron
    assert patron is not None
    weak = replace(case, patron=replace(patron, weak_pin=True))
    strong = replace(case, patron=replace(patron, weak_pin=False))

    if reason_of(policy, weak) is Reason.OK:
        assert reason_of(policy, strong) is Reason.OK
    if reason_of(replace(policy, weak_pin=stricter), case) is Reason.OK:
        assert reason_of(replace(policy, weak_pin=WeakPin.ALLOW), case) is Reason.OK


@given(policies, cases)
def test_only_refuse_refuses(policy: Policy, case: Case) -> None:
    """By `allow` and `warn` a flag changes nothing that is decided."""
    patron = case.patron
    assert patron is not None
    if policy.weak_pin is WeakPin.REFUSE:
        policy = replace(policy, weak_pin=WeakPin.WARN)
    weak = replace(case, patron=replace(patron, weak_pin=True))
    strong = replace(case, patron=replace(patron, weak_pin=False))

    assert reason_of(policy, weak) is reason_of(policy, strong)


@pytest.mark.parametrize("row", [replace(PATRON, pin_check=None), replace(WEAK.patron or PATRON)])
@pytest.mark.parametrize("is_weak", [True, False])
def test_what_the_library_system_proved_is_judged_by_that_pin(
    row: Patron, *, is_weak: bool
) -> None:
    """The row may tell of the PIN before: what counts is the one that was typed just now."""
    proved = Prepared(1, STRETCHED, ROW_KEY, row, proved=True, weak_pin=is_weak)

    told = verdict(proved, Pin("0000"), policy=REFUSE)

    assert told.reason is (Reason.WEAK_PIN if is_weak else Reason.OK)


ENDS = [
    (WeakPin.ALLOW, Concluded(1, Reason.OK, proved=True)),
    (WeakPin.WARN, Concluded(1, Reason.OK, weak_pin=True, proved=True)),
    (WeakPin.REFUSE, Concluded(1, Reason.WEAK_PIN, proved=True)),
]


def with_policy(rules: Rules, weak_pin: WeakPin) -> Rules:
    """Return rules with another policy about weak PINs."""
    return replace(rules, policy=replace(rules.policy, weak_pin=weak_pin))


@pytest.mark.parametrize("row", [UNKNOWN, NO_PIN], ids=["lent", "pushed without a PIN"])
@pytest.mark.parametrize(("policy", "end"), ENDS)
def test_a_pin_that_is_learnt_just_now_is_judged_at_once(
    row: Prepared, policy: WeakPin, end: Concluded
) -> None:
    """The first time and not only the next; also where a push comes meanwhile."""
    rules = with_policy(ASKING_RULES, policy)
    lent = replace(LENT, weak_pin=True) if row.patron is None else None
    yes = LibraryAnswered(1, LibraryAnswer.YES, lent, weak_pin=True)

    step = looked_up(answered(row, yes, rules=rules), now(5.0), rules)
    again = answered(row, yes, version=2, rules=rules)
    assert isinstance(again[1][0], LookAgain)
    later = looked_up(again, now(5.0, 2), rules)

    assert step[1] == later[1] == (end,)
