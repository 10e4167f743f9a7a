"""From a TOML file to a frozen `Config`, or to every problem of it at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from doorctl.config.hours import output_problems, read_hours
from doorctl.config.rules import FILES, RULES, placed
from doorctl.config.schema import LISTED, TABLES, Config, Origin, describe, keys
from doorctl.config.sections import checked, read_targets
from doorctl.config.sync import Sync
from doorctl.config.tables import Gpio
from doorctl.config.wording import shown
from doorctl.core.errors import ConfigError, Problem

# ``--set key.sub=value``: what the command line says over the file.

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
    # A value in place of a table is reported as such; the override can't mend it.
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


_PLACE = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)
RELOADED = frozenset({"policy", "hours", "closing", "alarms"})
"""Tables that a running process reloads; others hold things that it has opened already."""

NOT_RELOADED = FILES | {"policy.minimum_age", "policy.weak_pin"}
"""Keys of these that wait for a restart: systemd hands over files at the start alone, and rows are
sealed by the other two."""

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


def load(
    path: Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] = NO_ENVIRONMENT,
) -> Config:
    """Read a configuration file.

    Args:
        path: the file; relative paths in it, or in an override, count from its directory.
        overrides: ``table.key=value`` each, as ``--set`` gives them; the last one wins.
        environment: where a leading ``$CREDENTIALS_DIRECTORY/`` is looked up.

    Raises:
        ConfigError: with all problems: of the overrides, then of the keys in the schema's order,
            then of unknown tables, then between keys. A file that can't be read or is no TOML
            has one problem.
    """
    file = _read(path)
    tables, malformed = overridden(file, overrides)
    values, wrong = checked(tables)
    origin = Origin(path, tuple(overrides), MappingProxyType(values), frozenset(file))
    return from_values(origin, environment, [*malformed, *wrong])


def reload(
    running: Config, environment: Mapping[str, str] = NO_ENVIRONMENT
) -> tuple[Config, list[str], list[str]]:
    """Read the file of a running process again; raises ConfigError as `load` does.

    A file that lacks a table of `RELOADED` that the running one has is refused: it may be
    half-written, and without [hours] it is always open.

    Returns:
        The configuration from now on, which of its keys are new, and which others were changed and
        need a restart. Where the new ones are not valid without these, all need a restart.
    """
    origin = running.origin
    read = load(origin.path, origin.overrides, environment).origin
    if gone := sorted(origin.tables & RELOADED - read.tables):
        what = f"has no [{'], ['.join(gone)}] any more; restart if it is meant to have none"
        raise ConfigError(str(origin.path), [Problem("the file", what)])
    old, new = origin.values, read.values
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    taken = [
        one for one in changed if one.partition(".")[0] in RELOADED and one not in NOT_RELOADED
    ]
    values = {name: value for name, value in old.items() if name not in taken}
    values |= {name: new[name] for name in taken if name in new}
    try:
        config = from_values(replace(read, values=MappingProxyType(values)), environment)
    except ConfigError:
        return running, [], changed
    return config, taken, [name for name in changed if name not in taken]


def load_gpio(path: Path, overrides: Sequence[str] = ()) -> Gpio:
    """Read the pins alone, so that the relay can be switched off in spite of other mistakes.

    Raises:
        ConfigError: with all problems that may be the pins': of [gpio] itself, of overrides that
            can't be read and, where there is no [gpio], of names that may be a misspelt one.
            A pin that is guessed could be the wrong one.
    """
    tables, malformed = overridden(_read(path), overrides)
    values, wrong = checked(tables)
    names = {*tables.keys() & TABLES.keys(), *(one.key for one in describe())}
    guessed = [one for one in wrong if "gpio" not in tables and one.where not in names]
    own = [one for one in wrong if one.where.partition(".")[0] == "gpio"]
    if problems := [*malformed, *own, *guessed]:
        raise ConfigError(str(path), problems)
    pins = {name: value for name, value in values.items() if name.startswith("gpio.")}
    return Gpio(**{name.removeprefix("gpio."): value for name, value in pins.items()})


def from_values(
    origin: Origin, environment: Mapping[str, str], known: Sequence[Problem] = ()
) -> Config:
    """Turn values that are each valid into a `Config`, as `load` does.

    Raises:
        ConfigError: with all problems, those that are `known` already first.
    """
    base = origin.path.absolute().parent
    values, unreadable = read_hours(placed(origin.values, base, environment))
    values, wrong_targets = read_targets(values, base, environment)
    between = [problem for rule in (*RULES, output_problems) for problem in rule(values)]
    if problems := [*known, *unreadable, *wrong_targets, *between]:
        raise ConfigError(str(origin.path), problems)
    return replace(_built(values), origin=origin)


def _built(values: Mapping[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        table, _, leaf = name.rpartition(".")
        sections.setdefault(table, {})[leaf] = value
    sending = sections.pop("sync", None)
    sync = None if sending is None else Sync(**sending)
    # Inner tables first, for the outer one holds them.
    for table in sorted(sections.keys() - {""}, key=lambda name: name.count("."), reverse=True):
        outer, _, leaf = table.rpartition(".")
        sections.setdefault(outer, {})[leaf] = TABLES[table](**sections[table])
    return Config(**sections[""], sync=sync)


def _read(path: Path) -> Tables:
    try:
        written = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), [_unreadable(error)]) from None
    try:
        # Editors on Windows put a byte-order mark first.
        return tomllib.loads(written.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(f"line {line}", "holds what is no UTF-8; save the file as UTF-8")
    except RecursionError:
        problem = Problem("the file", "is no TOML that can be read: lists are nested too deep")
    except ValueError as error:
        problem = _no_toml(error)
    raise ConfigError(str(path), [problem])


def _unreadable(error: OSError) -> Problem:
    if isinstance(error, FileNotFoundError):
        advice = "copy config/doorctl.toml there and fill it in, or name another with --config"
        return Problem("the file", f"does not exist; {advice}")
    why = (error.strerror or type(error).__name__).lower()
    return Problem("the file", f"can't be read ({why}); see its owner and mode, or use --config")


def _no_toml(error: ValueError) -> Problem:
    match = _PLACE.fullmatch(str(error))
    if match is None:
        return Problem("the file", "is no TOML: a number has too many digits")
    what, where = match.groups()
    return Problem(where, f"is no TOML: {what}; texts need quotes, a key and its value one line")
