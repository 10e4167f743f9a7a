"""How keys and values of the configuration are shown in a message: as TOML, short, harmless."""

from __future__ import annotations

import dataclasses
import re
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

from msgspec import Meta

REQUIRED: Final = dataclasses.MISSING

LONGEST_SHOWN = 60
"""Characters of a value that a message repeats: enough to find it, and one line stays one line."""

TOML_BITS = 64
"""TOML's own whole numbers; Python refuses to print very much longer ones."""

FIRST_LONG = 0x10000
"""The first code point that needs TOML's long escape."""

_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")


def shown(value: object) -> str:
    """Return a value as it would be written in TOML, on one line, cut off where it is long."""
    text = _toml(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def shown_key(*parts: str) -> str:
    """Return a dotted key, with quotes where TOML needs them."""
    return ".".join(part if _BARE.fullmatch(part) else shown(part) for part in parts)


def _toml(value: object) -> str:
    match value:
        case str():
            return f'"{"".join(_escaped(character) for character in value[: LONGEST_SHOWN + 1])}"'
        case Path():
            return _toml("" if value == Path() else str(value))
        case list() | tuple():
            return f"[{', '.join(_item(item) for item in value[:LONGEST_SHOWN])}]"
        case dict():
            return "a table"
    return _plain(value)


def _plain(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > TOML_BITS:
            return "a huge number"
        case datetime() | date() | time():
            return value.isoformat()
    return str(value)


def _item(value: object) -> str:
    return "a list" if isinstance(value, list) else _toml(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < FIRST_LONG else f"\\U{code:08x}"


def key(
    why: str,
    default: Any = REQUIRED,
    *,
    example: object = None,
    allowed: str | None = None,
    within: tuple[float, float] | None = None,
    **bounds: Any,
) -> Any:
    """Describe one key, as a field of its table's dataclass.

    Args:
        why: its unit, where it has one, then its reason and source; messages don't show it, the
            example file's comments and the documentation do.
        default: its value where it isn't written; `REQUIRED` for a key that has to be.
        example: what a message suggests where the default is no help.
        allowed: the allowed values in words, where the type can't say it.
        within: the lowest and the highest number.
        bounds: msgspec's own: ``gt``, ``le``, ``pattern``, ``max_length``.
    """
    examples = None if example is None else [example]
    extra = None if allowed is None else {"allowed": allowed}
    if within is not None:
        bounds["ge"], bounds["le"] = within
    meta = Meta(description=why, examples=examples, extra=extra, **bounds)
    return dataclasses.field(default=default, metadata={"meta": meta})
