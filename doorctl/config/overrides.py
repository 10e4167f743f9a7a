"""``--set key.sub=value``: what the command line says over the file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

from doorctl.config.keys import keys
from doorctl.config.schema import LISTED
from doorctl.config.wording import shown
from doorctl.errors import Problem

Tables = dict[str, object]


def overridden(tables: Tables, overrides: Sequence[str]) -> tuple[Tables, list[Problem]]:
    """Return the tables with each override laid over them, the last one winning.

    A value is TOML where it can be read as such, else it is the text itself, so that
    ``reader.port=/dev/pts/3`` needs no quotes. For a key that holds a text, a number is text too:
    ``branch.phone=89151000``.
    """
    result = dict(tables)
    problems = []
    for written in overrides:
        name, equals, text = written.partition("=")
        table, dot, leaf = (part.strip() for part in name.rpartition("."))
        whole = equals and dot and table and leaf
        if not whole or table in LISTED or ("." in table and table not in keys()):
            problems.append(_malformed(written))
            continue
        result = _laid_over(result, [*table.split("."), leaf], _value(table, leaf, text.strip()))
    return result, problems


def _laid_over(tables: Tables, way: Sequence[str], value: object) -> Tables:
    name, *further = way
    if not further:
        return {**tables, name: value}
    there = tables.get(name, {})
    # A table that is none is told of as such; the override can't mend it.
    return (
        {**tables, name: _laid_over(there, further, value)} if isinstance(there, dict) else tables
    )


def _value(table: str, leaf: str, text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    key = keys().get(table, {}).get(leaf)
    bare = key is not None and key.is_text and not isinstance(parsed["value"], str)
    return text if bare or len(parsed) > 1 else parsed["value"]


def _malformed(written: str) -> Problem:
    return Problem(
        f"--set {shown(written)}",
        "is not table.key=value; write it like --set reader.port=/dev/ttyUSB0",
    )
