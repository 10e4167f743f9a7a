import io
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import timedelta

from doorctl.access.patron import Reason
from doorctl.config.tables import Visits
from doorctl.demo.evening import AGE, AT_ONCE, Outcome, Paper, Player, Traces, complaint, judge
from doorctl.demo.patrons import CAST, EVENING, Answer, Forget, Scene, Silence, Swipe, Type
from doorctl.privacy.retention import STEP
from tests.fakes.doorway import GONE, FakeDoorway, Line

GRANTED = Scene(
    "19.00", "short", "short", "short", (Swipe(CAST[0].swipe), Type("4711"), Answer(Reason.OK))
)


def played(door: FakeDoorway, *scenes: Scene) -> tuple[tuple[Outcome, ...], str]:
    """Play scenes and return their outcomes and what the viewer saw."""
    seen = io.StringIO()
    with redirect_stdout(seen):
        outcomes = Player(door, Paper(), AT_ONCE, door.old_visit).play(scenes)
    return outcomes, seen.getvalue()


def test_the_evening_ends_as_expected_at_a_good_door() -> None:
    """A door that answers as the table says makes no scene wrong."""
    door = FakeDoorway([reason for scene in EVENING for reason in scene.expected])

    outcomes, _ = played(door, *EVENING)

    assert [outcome.wrong for outcome in outcomes] == [None] * len(EVENING)


def test_a_pin_is_typed_digit_by_digit_after_the_swipe() -> None:
    """The door hears a card and then one key at a time."""
    door = FakeDoorway([Reason.OK])

    played(door, GRANTED)

    assert door.sent == [f"card of {len(CAST[0].swipe)} bytes", "4", "7", "1", "1"]


def test_another_answer_than_expected_is_told() -> None:
    """The scene is wrong and says what came instead, in both languages."""
    [outcome], seen = played(FakeDoorway([Reason.BLOCKED]), GRANTED)

    assert outcome.wrong == "ventet ok, men fik blocked / expected ok, got blocked"
    assert f"✗            {outcome.wrong}" in seen


def test_a_door_that_is_silent_makes_the_scene_wrong_and_the_next_is_played() -> None:
    """One answer that never comes does not end the evening."""
    outcomes, _ = played(FakeDoorway(), GRANTED, replace(GRANTED, acts=()))

    assert outcomes[0].wrong is not None
    assert "no line" in outcomes[0].wrong
    assert outcomes[1].wrong is None


def test_a_relay_that_does_not_follow_makes_the_scene_wrong() -> None:
    """``ok`` alone is not enough: the door must have been open and locked again."""
    [outcome], _ = played(FakeDoorway([Reason.OK], relay_works=False), GRANTED)

    assert outcome.wrong is not None


def test_an_answer_where_silence_is_due_makes_the_scene_wrong() -> None:
    """A swipe that should have been lost, but was not, is found."""
    scene = replace(GRANTED, acts=(Swipe(CAST[0].swipe), Type("4711"), Silence()))

    [outcome], _ = played(FakeDoorway([Reason.NOT_RESIDENT]), scene)

    assert outcome.wrong == "ventet intet, men fik not_resident / unexpected not_resident"


def test_any_trace_of_the_old_visit_makes_its_scene_wrong() -> None:
    """A row, a byte or a line in the list: each is one too many."""
    scene = replace(GRANTED, acts=(Forget(),))
    kept = [
        replace(GONE, in_rows=True),
        replace(GONE, in_bytes=True),
        replace(GONE, listed=True),
    ]
    wrong = [played(FakeDoorway(old=traces), scene)[0][0].wrong for traces in (GONE, *kept)]

    assert [words is None for words in wrong] == [True, False, False, False]


def test_an_old_visit_that_was_never_there_proves_nothing() -> None:
    """Its being gone counts only if it was found before."""
    case = FakeDoorway().old_visit()
    nowhere = Traces(in_rows=False, in_bytes=False, listed=False)

    assert case.as_expected
    assert not replace(case, before=nowhere).as_expected


def test_one_decision_too_many_is_wrong() -> None:
    """All that the door logged during a scene counts, not only what was waited for."""
    refusal = {"event": "decision", "verdict": "refused", "reason": "blocked"}

    assert judge([Reason.BLOCKED], [refusal]) is None
    assert judge([Reason.BLOCKED], [refusal, refusal]) is not None


def test_a_relay_edge_without_a_grant_is_wrong() -> None:
    """A refusal during which the relay moved is no refusal."""
    lines: list[Line] = [
        {"event": "decision", "verdict": "refused", "reason": "blocked"},
        {"event": "relay", "energised": True, "monotonic_ns": 1},
    ]

    assert judge([Reason.BLOCKED], lines) is not None


def test_the_complaint_names_the_scenes_that_went_wrong() -> None:
    """One line, and none where all went well."""
    bad, good = replace(GRANTED, name="bad"), replace(GRANTED, name="good")
    outcomes, _ = played(FakeDoorway([Reason.BLOCKED, Reason.OK]), bad, good)

    assert complaint(outcomes) == "scenes that went wrong: bad"
    assert complaint(outcomes[1:]) is None


def test_the_old_visit_is_no_alarm() -> None:
    """It is past the retention, but by less than what is told as a clock that may be wrong.

    Bug (a look at the demo): it was a whole day too old, and the overview began with an alarm.
    """
    kept = timedelta(days=Visits().retention_days)

    assert kept < AGE < kept + STEP
