"""Check each key of each table by itself: known, there, of the right type, within its bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from doorctl.config.rules import placed_file
from doorctl.config.schema import LISTED, REQUIRED, TABLES, Key, keys, section_keys
from doorctl.config.sync import Target
from doorctl.config.wording import LONGEST_SHOWN, shown, shown_key
from doorctl.core.errors import Problem

MAY_BE_ABSENT = frozenset({"hours", "sync"})
"""Tables whose absence is not the same as their defaults: no hours means always open."""

STAFFED = "hours.staffed"
"""Has the keys of another table; a misplaced key is meant for the other table."""

MOST_LISTED = 400
"""A file with more dates or outputs than this is a mistake."""

SENDER, OF_A_DOOR = "sync", frozenset({"reader"})
"""A sender's file may leave out what only a door has; a door's file may not."""


def checked(tables: Mapping[str, object]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the valid values by full key, with defaults, and what is wrong with the rest."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for table, known in keys().items():
        if (outer := table.partition(".")[0]) in MAY_BE_ABSENT and outer not in tables:
            continue
        if table in OF_A_DOOR and SENDER in tables and table not in tables:
            values |= {one.name: _default_or_blank(one) for one in known.values()}
            continue
        written = _written(tables, table)
        if table in LISTED:
            values[table], wrong = _each(table, written)
            problems += wrong
        elif isinstance(written, dict):
            problems += check_table(known, written, values)
            problems += [
                _unknown_key(table, leaf) for leaf in written if leaf not in _leaves(table)
            ]
        else:
            problems.append(Problem(table, f"found {shown(written)}; give a table: [{table}]"))
    problems += [_unknown_table(name, at) for name, at in tables.items() if name not in _outer()]
    return values, problems


def _each(table: str, written: object) -> tuple[tuple[Any, ...], list[Problem]]:
    """Return the sections written one by one under ``[[table]]``; None in place of a wrong one."""
    if not written:
        return (), []
    if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
        what = f"found {shown(written)}; give each a table: [[{table}]]"
        return (), [Problem(table, what)]
    if len(written) > MOST_LISTED:
        return (), [Problem(table, f"found {len(written)} tables; give at most {MOST_LISTED}")]
    found: list[Any] = []
    problems: list[Problem] = []
    for place, one in enumerate(written):
        section, wrong = _one(f"{table}[{place}]", TABLES[table], one)
        found.append(section)
        problems += wrong
    return tuple(found), problems


def _one(
    name: str, section: type[Any], written: Mapping[str, object]
) -> tuple[object, list[Problem]]:
    known = section_keys(name, section)
    values: dict[str, Any] = {}
    problems = list(check_table(known, written, values))
    problems += [
        Problem(f"{name}.{shown_key(leaf)}", f"unknown key; there are {', '.join(known)}")
        for leaf in written
        if leaf not in known
    ]
    if problems:
        return None, problems
    return section(**{leaf: values[f"{name}.{leaf}"] for leaf in known}), []


def _written(tables: Mapping[str, object], table: str) -> object:
    """Return the value at a table's name; an empty one if a table around it is not a table."""
    found: object = tables
    for part in table.split("."):
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return found


def _default_or_blank(key: Key) -> object:
    return "" if key.default is REQUIRED else key.default


def _outer() -> list[str]:
    return [table for table in keys() if "." not in table]


def _leaves(table: str) -> list[str]:
    """Return what may stand in a table: its keys, then the tables in it."""
    inner = (name.rpartition(".") for name in keys())
    return [*keys()[table], *(leaf for outer, _, leaf in inner if outer == table)]


def check_table(
    known: Mapping[str, Key], written: Mapping[str, object], values: dict[str, Any]
) -> Iterable[Problem]:
    """Add the valid values of one table to `values` and yield what is wrong with the rest."""
    for leaf, key in known.items():
        if leaf not in written:
            if key.default is REQUIRED:
                yield Problem(key.name, f"missing; give {_advice(key)}")
            else:
                values[key.name] = key.default
            continue
        try:
            values[key.name] = _converted(key, written[leaf])
        except (msgspec.ValidationError, ValueError):
            yield Problem(key.name, f"found {shown(written[leaf])}; give {_advice(key)}")


def _converted(key: Key, written: object) -> object:
    for text in written if isinstance(written, list) else [written]:
        if isinstance(text, str) and not _is_fit(text, may_be_blank=key.may_be_blank):
            raise ValueError
    return msgspec.convert(written, key.annotation, dec_hook=_as_path)


def _is_fit(text: str, *, may_be_blank: bool) -> bool:
    return text.isprintable() and (bool(text.strip()) or (text == "" and may_be_blank))


def _as_path(_wanted: type, written: object) -> Path:
    if not isinstance(written, str):
        raise ValueError  # noqa: TRY004 - msgspec makes its own error of this one
    return Path(written)


def _advice(key: Key) -> str:
    return f"{key.allowed}, such as {key.example}"


def _unknown_key(table: str, leaf: str) -> Problem:
    known = _leaves(table)
    meant = [f"{table}.{near}" for near in _near(leaf, known)] or _elsewhere(leaf)
    hint = f"did you mean {meant[0]}?" if meant else f"[{table}] has {', '.join(known)}"
    return Problem(shown_key(*table.split("."), leaf), f"unknown key; {hint}")


def _unknown_table(name: str, written: object) -> Problem:
    if not isinstance(written, dict):
        meant = _elsewhere(name)
        hint = f"did you mean {meant[0]}?" if meant else "every key stands in a table"
        return Problem(shown_key(name), f"unknown key; {hint}")
    near = _near(name, keys())
    hint = f"did you mean [{near[0]}]?" if near else f"there are {', '.join(keys())}"
    return Problem(shown_key(name), f"unknown table; {hint}")


def _near(written: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - for slips of the pen alone, 0.1 MB

    return get_close_matches(written[:LONGEST_SHOWN].lower(), known, n=1)


def _elsewhere(leaf: str) -> list[str]:
    everywhere = {
        key.leaf: key.name
        for table, known in keys().items()
        for key in known.values()
        if table not in LISTED and table != STAFFED
    }
    return [everywhere[near] for near in _near(leaf, everywhere)]


NAME = "sync.targets"
FILES = ("ca_file", "certificate_file", "key_file")


def read_targets(
    values: Mapping[str, Any], base: Path, environment: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """Turn the written tables at ``sync.targets`` into a tuple of `Target`.

    The targets may be missing from `values`; `base` and `environment` are as for `placed`.
    """
    if NAME not in values:
        return dict(values), []
    problems: list[Problem] = []
    targets: list[Target] = []
    for place, written in enumerate(values[NAME]):
        found, wrong = _read(f"{NAME}[{place}]", written)
        problems += wrong
        if not wrong:
            files = {leaf: placed_file(found[leaf], base, environment) for leaf in FILES}
            targets.append(Target(**{**found, **files}))
    problems += _between(targets)
    return {**values, NAME: tuple(targets)}, problems


def _read(name: str, written: Mapping[str, object]) -> tuple[dict[str, Any], list[Problem]]:
    known = section_keys(name, Target)
    values: dict[str, Any] = {}
    problems = list(check_table(known, written, values))
    problems += [
        Problem(f"{name}.{shown_key(leaf)}", f"unknown key; there are {', '.join(known)}")
        for leaf in written
        if leaf not in known
    ]
    found = {full.removeprefix(f"{name}."): value for full, value in values.items()}
    return found, problems or list(_within(name, Target(**found)))


def _within(name: str, target: Target) -> Iterator[Problem]:
    files = {leaf: getattr(target, leaf) != Path() for leaf in FILES}
    if any(files.values()) and not target.url.startswith("https:"):
        yield Problem(f"{name}.url", f"found {shown(target.url)} beside certificates; give https")
    pair = ("certificate_file", "key_file")
    for leaf, other in (pair, pair[::-1]):
        if files[other] and not files[leaf]:
            yield Problem(f"{name}.{leaf}", f"missing beside {other}; give its path")


def _between(targets: Sequence[Target]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for place, target in enumerate(targets):
        if first.setdefault(target.branch, place) != place:
            yield Problem(
                f"{NAME}[{place}].branch",
                f"found {shown(target.branch)}, which is another target's too; give each one's own",
            )
