"""What a map says of each field of the feed: where its value stands, and the verbs over it.

A table and never a program: eight verbs, and no way to add to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType


class Verbs(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    rename={"path": "from", "among": "in"},
):
    """Where a value stands (`from`), and what is done to it: split, strip, first, then the rest.

    Attributes:
        path: `from`, the path of a value in a row of the library system.
        default: what counts where the row has no such field; without it such a row is wrong.
        strip: characters that are taken off both ends of a text, beside blanks.
        split: what stands between the parts of a text that holds several.
        first: of several values the first alone counts.
        among: `in`, true for these texts and false for any other and for none.
        true_if: true for these texts, false for :data:`FALSE`, in whatever case; another is a wrong
            row.
        present: the code of a block for any value but none and :data:`FALSE`.
        format: one or more of :meth:`datetime.strptime`; without it a day is ISO 8601.
    """

    path: str = ""
    default: str | bool | UnsetType = UNSET
    strip: str = ""
    split: str = ""
    first: bool = False
    among: tuple[str, ...] = ()
    true_if: tuple[str, ...] = ()
    present: str = ""
    format: str | tuple[str, ...] = ()

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of a day."""
        return (self.format,) if isinstance(self.format, str) else self.format

    def __post_init__(self) -> None:
        """ValueError: it says too little, or two things at once."""
        if not self.path and self.default is UNSET:
            raise ValueError
        if sum(map(bool, (self.among, self.true_if, self.present, self.format))) > 1:
            raise ValueError


FALSE = frozenset({"", "0", "false", "nej", "no"})
"""Texts that say no, in lower case. No single letter is: it may be the code of a block."""


class Nothing(Enum):
    """What stands where no value does; of a list PARTIAL, if an item lacks what the path names."""

    ABSENT = "absent"
    BLANK = "blank"
    PARTIAL = "partial"


ABSENT: Final = Nothing.ABSENT
BLANK: Final = Nothing.BLANK
PARTIAL: Final = Nothing.PARTIAL

_STEP = re.compile(r"([^.\[\]]+)(?:\[(?:([^\[\]=]+)=([^\[\]]*)|([0-9]{0,4}))\])?")


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path, and which items of the list that stands there.

    `where` is a path within an item and the text that stands there, `place` counts from 0; with
    neither all items count, if it `spreads`.
    """

    name: str
    spreads: bool = False
    where: tuple[tuple[Step, ...], str] | None = None
    place: int | None = None


TEXT = Step("value")
"""Of an XML element with attributes its text; of one without, which is a text, it is that."""


def steps_of(path: str) -> tuple[Step, ...]:
    """Return the steps of ``personal.email``, ``cards[].number``, ``notes[0]``, ``ids[type=CARD]``.

    Dots and brackets belong to no name. Raises ValueError: it is no path.
    """
    steps, at = [], 0
    while match := _STEP.match(path, at):
        name, key, wanted, place = match.groups()
        where = None if key is None else (steps_of(key.strip().replace("/", ".")), wanted)
        spreads = match[0] != name
        steps.append(Step(name, spreads, where, int(place) if place else None))
        at = match.end()
        if at == len(path):
            return tuple(steps)
        if path[at] != ".":
            break
        at += 1
    raise ValueError


def found(value: Any, steps: Sequence[Step]) -> Any:
    """Return what stands at the end of some steps: a value, a list of them, or `Nothing`."""
    for number, step in enumerate(steps):
        if value is None or value is BLANK:
            return BLANK
        if isinstance(value, str) and step.name == "value" and step == TEXT:
            continue
        if not isinstance(value, dict) or step.name not in value:
            return ABSENT
        value = value[step.name]
        if step.spreads:
            return _spread(value, step, steps[number + 1 :])
    return BLANK if value is None else value


def _spread(value: Any, step: Step, rest: Sequence[Step]) -> Any:
    if value is None:
        return BLANK
    # XML has no lists: an element that stands there once is a list of it.
    items = value if isinstance(value, list) else [value]
    if step.where is not None:
        key, wanted = step.where
        marked = [(item, found(item, key)) for item in items]
        if any(mark in (ABSENT, PARTIAL) for _, mark in marked):
            return PARTIAL
        items = [item for item, mark in marked if as_text(mark) == wanted]
    if step.place is not None:
        items = items[step.place : step.place + 1]
    ends = [found(item, rest) for item in items]
    return PARTIAL if ABSENT in ends or PARTIAL in ends else [*_flat(ends)]


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    # Without recursion: a line of JSON may have any number of levels.
    waiting = [iter(values)]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            yield value
        else:
            waiting.pop()


def as_text(value: Any) -> str | None:
    """Return a value as text; None where it is none that a text can be made of.

    A number with a fraction is none: a spreadsheet writes a long card number as 3.0E+09.
    """
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return value.strip()
        case Nothing.BLANK:
            return ""
    return None


def says_no(text: str) -> bool:
    """Tell whether a text is one of :data:`FALSE`."""
    return text.lower() in FALSE


def day_of(text: str, formats: Sequence[str]) -> date | None:
    """Return the day that a text names; None where it names none.

    Without a format ISO 8601, of whose time of day nothing is used.
    """
    for written in formats:
        try:
            # A day has no zone.
            return datetime.strptime(text, written).date()  # noqa: DTZ007 - as said
        except ValueError:
            continue
    if formats:
        return None
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        return None
