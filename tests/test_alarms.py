"""The list of alarms: whole, told in two languages, and what ends what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from doorctl.core.alarms import (
    DOOR_SILENT,
    ENDS,
    HELD_BACK,
    KINDS,
    LEAF_REST_S,
    NO_REST_S,
    NOT_SENT,
    UNLISTED,
    AlarmKind,
    Lasts,
    Urgency,
)
from doorctl.door.leaf import Alarm
from doorctl.doord.lookout import FAULTS
from doorctl.notices.mail import translated
from doorctl.sync.guard import Changes, guard
from doorctl.web.push_answers import REFUSALS

PACKAGE = Path(__file__).parents[1] / "doorctl"
SOURCES = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
ALL = "\n".join(SOURCES.values())

EMITTED = re.compile(r'(?:"alarm",\s*kind=|_alarm\(\s*|\balarm=|AlarmOnce\([\w.]+, )"(\w+)"')
BY_NAME = re.compile(r'"alarm",\s*kind=([^",)]+)[,)]')
DERIVED = {
    "alarm",
    "alarm.value",
    'f"{alarm.value}_cleared"',
    "kind",
    "refusal.alarm",
    "NOT_SENT",
    "self.kind",
    "ENDS[self.kind]",
    "ENDS[kind]",
}
"""Where the kind is not written on the spot; each is looked at by a test below."""


def test_every_alarm_that_is_emitted_is_listed() -> None:
    """Whoever is called has a sentence on what to do: no alarm is raised that has none."""
    emitted = set(EMITTED.findall(ALL))

    assert len(emitted) > 10
    assert emitted - KINDS.keys() == set()


def test_a_kind_that_is_not_written_on_the_spot_is_known_here() -> None:
    """A new way of naming an alarm can't slip past the test above."""
    names = set(BY_NAME.findall(re.sub(r'f"\{alarm\.value\}_cleared"', "cleared_leaf", ALL)))

    assert names - DERIVED - {"cleared_leaf"} == set()


def test_what_the_guard_warns_of_is_listed() -> None:
    """A push that was applied names its alarms itself."""
    warnings = guard()(Changes(10_000, let_in=10_000, moved=10_000))

    assert warnings is not None
    assert len(warnings.keys() & KINDS.keys()) == 2


@pytest.mark.parametrize("alarm", list(Alarm))
def test_both_ends_of_a_leafs_alarm_are_listed(alarm: Alarm) -> None:
    """The door's supervision names its alarms by value, and their ends by that."""
    assert KINDS[alarm.value].urgency is Urgency.NOW
    assert KINDS[f"{alarm.value}_cleared"].clears == alarm.value


@pytest.mark.parametrize("kind", KINDS)
def test_each_sentence_is_one_plain_sentence(kind: str) -> None:
    """It fits into a message's subject line and a table, in both languages."""
    for text in (KINDS[kind].means, KINDS[kind].act):
        danish = translated(text, "da")
        assert danish != text
        for said in (danish, translated(text, "en")):
            assert re.fullmatch(r"[A-ZÆØÅ][^|\n]{3,98}\.", said)
    assert re.fullmatch(r"[a-z_]{3,40}", kind)


def test_an_end_ends_an_alarm_that_is_listed() -> None:
    """An end is never urgent and never of another end; no alarm has two."""
    ended = [known.clears for known in KINDS.values() if known.clears]

    assert len(set(ended)) == len(ended)
    for name in ended:
        assert KINDS[name].clears is None
    assert {known.urgency for known in KINDS.values() if known.clears} == {Urgency.NOTE}


@pytest.mark.parametrize("kind", [kind for kind, known in KINDS.items() if known.clears is None])
def test_no_alarm_is_without_an_end(kind: str) -> None:
    """It has a kind that ends it, or is over in a moment, or waits for a person to have looked.

    Bug (operated from outside): 40 kinds ended only where somebody acknowledged them on a page.
    """
    known = KINDS[kind]

    assert (kind in ENDS) == (known.lasts is Lasts.UNTIL_WELL)
    if known.lasts is Lasts.UNTIL_SEEN:
        assert re.search("acknowledge|--audit-confirmed", known.act)


ENDED = re.compile(r'(?:AlarmOnce\(\s*[\w.]+, |WELL, kind=|\.stand\(\s*|alarm=)"(\w+)"')
"""Where code ends an alarm by its kind."""


def test_each_end_is_made_by_some_code() -> None:
    """A declaration alone ends nothing: the kind stands where its end is decided."""
    made = {*ENDED.findall(ALL), *FAULTS, NOT_SENT, DOOR_SILENT}
    made |= {alarm.value for alarm in Alarm}
    made |= {refusal.alarm for _, refusal in REFUSALS if refusal.alarm}

    assert ENDS.keys() - made == set()


def test_a_call_for_help_says_nothing_more() -> None:
    """Whoever is threatened must not be found out by what is sent: no words beside the list's."""
    assert [kind for kind, known in KINDS.items() if known.wordless] == ["duress"]


def test_how_long_each_kind_rests() -> None:
    """Only a person in danger never rests; a leaf or a call does for minutes; all else as set."""
    rests = {kind: known.rest_s for kind, known in KINDS.items() if known.rest_s is not None}
    ends = {"door_forced_cleared", "door_held_cleared"}

    assert rests.pop("duress") == NO_REST_S
    assert rests == dict.fromkeys({"door_forced", "door_held", "help_called"} | ends, LEAF_REST_S)
    assert [kind for kind, known in KINDS.items() if known.for_people] == ["duress"]
    assert KINDS["duress"].urgency is Urgency.NOW


def test_an_end_rests_as_its_alarm_does() -> None:
    """Nobody believes for an hour that a door stands open which was closed long ago."""
    for known in KINDS.values():
        if known.clears is not None:
            assert known.rest_s == KINDS[known.clears].rest_s


def test_what_is_raised_here_is_listed() -> None:
    """The two kinds that rationing itself uses are there."""
    assert {HELD_BACK, UNLISTED} <= KINDS.keys()


def test_a_catalogue_that_is_missing_keeps_no_alarm_back() -> None:
    """It is sent in English."""
    assert translated("Do nothing.", "xx") == "Do nothing."


def test_the_list_can_not_be_changed() -> None:
    """It is one table for all; nobody adds to it while running."""
    with pytest.raises(TypeError):
        KINDS["new"] = KINDS["test"]  # type: ignore[index]
    assert isinstance(KINDS["test"], AlarmKind)
