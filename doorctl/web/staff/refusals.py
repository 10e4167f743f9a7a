"""Why a change was refused, as a page says it: in its language, with the values in it.

A sentence without values is a text of the catalogues like any other. The rest is found by pattern,
because it was made for a command and names a key of the configuration or a date as in a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

from doorctl.access.calendar import Mode
from doorctl.core.errors import InputError
from doorctl.web.frame.words import MODES, Words
from doorctl.web.panel_words import hours_of_day
from doorctl.web.staff import filled_in

Patterns = Sequence[tuple[str, str]]

_DATE: Final = r"(?P<day>\d{4}-\d\d-\d\d)"
_NAMED: Final = (
    (rf"{_DATE} is past;", "{day} is past, and its hours can't be changed any more"),
    (rf"staff have set no hours for {_DATE}", "nobody has given {day} hours of its own"),
    (
        rf"the pass would be over since {_DATE};",
        "the pass would be over since {day}; give a later last day",
    ),
    (r"there is no pass (?P<n>\d+) that", "there is no pass {n} that could be revoked"),
    (r"a PIN is (?P<n>\d+) digits here", "a PIN is {n} digits here; nothing was changed"),
    (
        r"(?P<n>\d+) codes of (?P<digits>\d+) digits are in force",
        "there are {n} codes of {digits} digits, and more could be guessed; revoke some first",
    ),
    (
        r"more than (?P<n>\d+) attempts fit",
        "more than {n} attempts fit, and part of them would look like all; choose fewer days",
    ),
    (
        r"an account may look up (?P<n>\d+) people an hour and (?P<most>\d+) a day",
        "an account may look up {n} people an hour and {most} a day; ask a colleague, or wait",
    ),
    (
        r"the mode would last more than (?P<n>\d+) days",
        "the mode would last more than {n} days; change the calendar",
    ),
)
"""Refusals that name a day or a number, and what a page says instead, in English."""

_SPAN: Final = r'"(?P<{0}_from>\d\d:\d\d)-(?P<{0}_to>\d\d:\d\d)"'
_CLASH: Final = re.compile(
    rf"(?P<one>[\w.-]+): {_SPAN.format('one')} "
    r"(?P<how>overlaps|lies only partly within|begins (?P<n>\d+) min after) "
    rf"{_SPAN.format('other')} of (?P<other>[\w.-]+?)(?: ends)?;"
    r"(?: join them or leave at least (?P<least>\d+) min)?"
)
_CLASHES: Final = {
    "overlaps": "{one} overlaps {other}; join them or move one",
    "lies": "{one} lies only partly within {other}; let it lie within or apart",
    "begins": "{one} begins {n} min after {other} ends; "
    "join them or leave at least {least} min between",
}
"""What a page says of clashing hours, by the verb of the command's sentence."""

_WRITTEN: Final = (
    (re.compile(r"the cause "), "the reason "),
    (re.compile(rf"the note for {_DATE} "), "the note "),
)
"""What a field is called in the store, and on the page."""


def told(words: Words, error: InputError) -> str:
    """Return why something was refused, in the page's language."""
    sentence = filled_in.told(error)
    for pattern, field in _WRITTEN:
        sentence = pattern.sub(field, sentence, count=1) if pattern.match(sentence) else sentence
    clash = _CLASH.match(sentence)
    return by_pattern(words, sentence, _NAMED) if clash is None else _clash(words, clash)


def by_pattern(words: Words, sentence: str, patterns: Patterns) -> str:
    """Return an error's English sentence in the page's language.

    `patterns` are sentences with values, and what a page says instead; a value is a date if it is
    called `day`, a login if `name`, else a number. A sentence that fits none is a text like any
    other.
    """
    for pattern, text in patterns:
        found = re.match(pattern, sentence)
        if found is not None:
            return words.say(text, **_values(words, found))
    return words.say(sentence)


def _values(words: Words, found: re.Match[str]) -> dict[str, str]:
    return {name: _value(words, name, written) for name, written in found.groupdict().items()}


def _value(words: Words, name: str, written: str) -> str:
    if name == "day":
        return words.short_day(date.fromisoformat(written))
    # A login may be all digits.
    return written if name == "name" else words.number(int(written))


def _clash(words: Words, found: re.Match[str]) -> str:
    return words.say(
        _CLASHES[found["how"].split()[0]],
        one=_span(words, found, "one"),
        other=_span(words, found, "other"),
        n=found["n"],
        least=found["least"],
    )


def _span(words: Words, found: re.Match[str], which: str) -> str:
    """Return "11.00-13.00 betjent"; a span of the week's hours is on the day after."""
    mode = Mode.STAFFED if "staffed" in found[which] else Mode.SELF_SERVICE
    starts, ends = (_minutes(found[f"{which}_{end}"]) for end in ("from", "to"))
    span = f"{hours_of_day(words, starts, ends)} {words.say(MODES[mode]).lower()}"
    return (
        words.say("{span} the day after", span=span) if found[which].startswith("hours") else span
    )


def _minutes(written: str) -> int:
    hours, minutes = written.split(":")
    return int(hours) * 60 + int(minutes)
