"""From a TOML file to a frozen `Config`, or to every problem of it at once."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, inspect

from doorctl.config.extras import (
    EXTRA_TABLES,
    EXTRAS,
    Listed,
    Place,
    every_place,
    extras_at,
    find,
    installed,
    missing,
    wanted,
    wanted_by,
)
from doorctl.config.hours import Closing, Opening, WrittenHours, read_hours
from doorctl.config.rules import RULES, USELESS, Rule, is_file, placed
from doorctl.config.tables import (
    LONGEST_SHOWN,
    REQUIRED,
    Alarms,
    Backup,
    Branch,
    ClockTrust,
    Control,
    Controller,
    Door,
    Gpio,
    Keypad,
    Lms,
    Panel,
    Policy,
    Reader,
    Seal,
    Secrets,
    Signin,
    Storage,
    Sync,
    Visits,
    Web,
    keypad_is_wired,
    shown,
    shown_key,
)
from doorctl.core.errors import ConfigError, Problem

TableT = TypeVar("TableT")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a configuration was read: the file, and what the command line laid over it.

    `values` holds each key's value as it is written, or its default; `tables` are the file's own.
    """

    path: Path = Path()
    overrides: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    tables: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration; thread-safe, because nothing in it changes.

    `sync` is None where this machine sends to no branch. `control.socket` is absolute once loaded.
    `extras` are the tables of extras that the file has; see `all_of`.
    """

    branch: Branch
    controller: Controller = field(default_factory=Controller)
    storage: Storage = field(default_factory=Storage)
    secrets: Secrets = field(default_factory=Secrets)
    seal: Seal = field(default_factory=Seal)
    reader: Reader
    keypad: Keypad = field(default_factory=Keypad)
    gpio: Gpio = field(default_factory=Gpio)
    door: Door = field(default_factory=Door)
    policy: Policy = field(default_factory=Policy)
    opening: Opening = field(default_factory=Opening)
    closing: Closing = field(default_factory=Closing)
    visits: Visits = field(default_factory=Visits)
    clock: ClockTrust = field(default_factory=ClockTrust)
    control: Control = field(default_factory=Control)
    web: Web = field(default_factory=Web)
    panel: Panel = field(default_factory=Panel)
    signin: Signin = field(default_factory=Signin)
    lms: Lms = field(default_factory=Lms)
    alarms: Alarms = field(default_factory=Alarms)
    backup: Backup = field(default_factory=Backup)
    sync: Sync | None = None
    extras: tuple[Any, ...] = ()
    origin: Origin = field(default=Origin(), repr=False, compare=False)

    @property
    def keys_on_screen(self) -> bool:
        """Whether PINs are typed on the screen; a keypad that is wired goes before it."""
        return self.panel.keypad and not self.has_keypad_line

    @property
    def has_keypad_line(self) -> bool:
        """Whether a keypad is wired, and its keys do not come on the reader's line."""
        return keypad_is_wired(self.keypad.kind, self.keypad.port)

    def all_of(self, section: type[TableT]) -> tuple[TableT, ...]:
        """Return an extra's tables: one or none, or as many as stand under ``[[name]]``."""
        return tuple(table for table in self.extras if isinstance(table, section))


@cache
def _hints(section: Any) -> dict[str, Any]:
    return get_type_hints(section, include_extras=True)


def _tables(section: Any, outer: str = "") -> Iterator[tuple[str, type[Any], bool]]:
    """Yield the tables that stand in a section: name, what stands in it, whether it is a list."""
    for leaf, hint in _hints(section).items():
        inner, *_ = (*get_args(hint), hint)
        if inner is Opening:
            yield "hours", WrittenHours, False
            yield from _tables(WrittenHours, "hours.")
        elif isinstance(inner, type) and dataclasses.is_dataclass(inner) and inner is not Origin:
            yield f"{outer}{leaf}", inner, get_origin(hint) is tuple
            yield from _tables(inner, f"{outer}{leaf}.")


_FOUND = tuple(_tables(Config))

TABLES = MappingProxyType({name: section for name, section, _ in _FOUND})
"""Table -> what stands in it, without those of extras; `sync` is the sender's own.

A dotted table stands in the one before the dot, and so does its section's value in that section.
"""

LISTED = frozenset(
    {
        *(name for name, _, is_listed in _FOUND if is_listed),
        *(table for extra in EXTRAS if extra.is_list for table in extra.tables),
    }
)
"""Tables of which a file may have many, each under ``[[name]]``."""


def schema(places: Iterable[Place]) -> dict[str, type[Any]]:
    """Return table -> what stands in it, where extras are asked for at these places."""
    sections = dict(TABLES)
    for place in places:
        if (section := place.section) is not None:
            sections[place.in_table] = section
            sections |= {name: inner for name, inner, _ in _tables(section, f"{place.in_table}.")}
    return sections


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the schema; `default` is `REQUIRED` where there is none."""

    table: str
    leaf: str
    annotation: Any
    meta: Meta
    default: Any

    @property
    def name(self) -> str:
        """The full key, such as ``door.release_s``."""
        return f"{self.table}.{self.leaf}"

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        in_words = (self.meta.extra or {}).get("allowed")
        blank = ', or ""' if self.default == Path() else ""
        return in_words or _allowed(inspect.type_info(self.annotation)) + blank

    @property
    def example(self) -> str:
        """One valid value, as TOML."""
        return shown(self.meta.examples[0] if self.meta.examples else self.default)

    @property
    def is_text(self) -> bool:
        """Whether it is written as a text in quotes."""
        value = self.meta.examples[0] if self.meta.examples else self.default
        return shown(value).startswith('"')

    @property
    def may_be_blank(self) -> bool:
        """Whether an empty text is right: for the default, or for none."""
        return self.default in ("", Path()) or '""' in self.allowed


@cache
def keys(places: tuple[Place, ...] | None = None) -> Mapping[str, Mapping[str, Key]]:
    """Return table, such as ``web.tls`` -> last part of a key -> key, in the example's order.

    With those of extras that are asked for at these places; None for wherever one that is installed
    may be asked for, and so for the keys of every kind.
    """
    if places is None:
        places = tuple(place for extra in installed() for place in extra.places)
    known: dict[str, Mapping[str, Key]] = {}
    for sections in (TABLES, *(schema((place,)) for place in places)):
        for name, section in sections.items():
            known[name] = {**known.get(name, {}), **section_keys(name, section)}
    outermost = list(dict.fromkeys(name.partition(".")[0] for name in known))
    order = sorted(known, key=lambda name: outermost.index(name.partition(".")[0]))
    return MappingProxyType({name: known[name] for name in order})


def section_keys(name: str, section: Any) -> Mapping[str, Key]:
    """Return last part of a key -> key of one section that stands at `name`."""
    hints = _hints(section)
    return {
        field.name: Key(name, field.name, Annotated[hints[field.name], meta], meta, field.default)
        for field in dataclasses.fields(section)
        if (meta := field.metadata.get("meta")) is not None
    }


def _allowed(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata(type=inner) | inspect.UnionType(types=(inner, *_)):
            return _allowed(inner)
        case inspect.LiteralType(values=values) | inspect.EnumType(cls=values):
            return f"one of {', '.join(map(shown, values))}"
        case inspect.IntType(ge=lowest, le=highest):
            return f"a whole number from {lowest} to {highest}"
        case inspect.FloatType(ge=None, gt=above, le=highest):
            return f"a number above {above:g}, at most {highest:g}"
        case inspect.FloatType(ge=lowest, le=highest):
            return f"a number from {lowest:g} to {highest:g}"
    return "true or false" if isinstance(info, inspect.BoolType) else "a path"


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
        if not whole or table in LISTED or ("." in table and not _is_inner(table)):
            what = "is not table.key=value; write it like --set reader.port=/dev/ttyUSB0"
            problems.append(Problem(f"--set {shown(written)}", what))
            continue
        result = laid_over(result, [*table.split("."), leaf], _value(table, leaf, text.strip()))
    return result, problems


def _is_inner(table: str) -> bool:
    """Tell whether a dotted name is a table's; those of an extra have names that begin as it."""
    return table in TABLES or any(f"{table}.".startswith(f"{own}.") for own in EXTRA_TABLES)


def laid_over(tables: Tables, way: Sequence[str], value: object) -> Tables:
    """Return nested tables with one value set; a value in place of a table stays."""
    name, *further = way
    if not further:
        return {**tables, name: value}
    there = tables.get(name, {})
    # It is reported as such; the override can't mend it.
    return {**tables, name: laid_over(there, further, value)} if isinstance(there, dict) else tables


def _value(table: str, leaf: str, text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    around = tuple(
        place for place in every_place() if place.extra.tables and table.startswith(place.where)
    )
    key = keys(around).get(table, {}).get(leaf)
    bare = key is not None and key.is_text and not isinstance(parsed["value"], str)
    return text if bare or len(parsed) > 1 else parsed["value"]


_PLACE = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)
RELOADED = frozenset({"policy", "hours", "closing", "alarms"})
"""Tables that a running process reloads; others hold things that it has opened already."""

SEALED_BY = frozenset({"policy.minimum_age", "policy.weak_pin"})
"""Keys of these that wait for a restart, for rows are sealed by them; so do files, which systemd
hands over at the start alone."""

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


def load(
    path: Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    *,
    written: bytes | None = None,
) -> Config:
    """Read a configuration file; relative paths count from its directory.

    `overrides` are ``table.key=value``, as ``--set`` gives them, and the last one wins;
    `environment` is where a leading ``$CREDENTIALS_DIRECTORY/`` is looked up; `written` is what the
    file is going to hold, where it is to be checked before that.

    Raises ConfigError: with all problems: of the overrides, then of the keys in the schema's order,
    then of unknown tables, then between keys. A file that can't be read or is no TOML has one
    problem.
    """
    file = read_tables(path, written)
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
    other = {name: when_absent(name) for name in old.keys() ^ new.keys()}
    changed = [
        name
        for name in {**old, **new}
        if old.get(name, other.get(name)) != new.get(name, other.get(name))
    ]
    taken = [
        name
        for name in changed
        if name.partition(".")[0] in RELOADED and name not in SEALED_BY and not is_file(name)
    ]
    values = {name: value for name, value in old.items() if name not in taken}
    values |= {name: new[name] for name in taken if name in new}
    try:
        config = from_values(replace(read, values=MappingProxyType(values)), environment)
    except ConfigError:
        return running, [], changed
    return config, taken, [name for name in changed if name not in taken]


def when_absent(name: str) -> object:
    """Return what a key comes to whose table is not there; only an extra's is its default then."""
    table, _, leaf = name.rpartition(".")
    if name in LISTED:
        return ()
    known = None if table in MAY_BE_ABSENT else keys().get(table, {}).get(leaf)
    return None if known is None else known.default


def load_gpio(path: Path, overrides: Sequence[str] = ()) -> Gpio:
    """Read the pins alone, so that the relay can be switched off in spite of other mistakes.

    ConfigError has all problems that may be the pins': of [gpio] itself, of overrides that can't be
    read and, where there is no [gpio], of names that may be a misspelt one: no pin is guessed.
    """
    tables, malformed = overridden(read_tables(path), overrides)
    values, wrong = checked(tables)
    names = {
        *tables.keys() & TABLES.keys(),
        *(key.name for known in keys(()).values() for key in known.values()),
    }
    guessed = [problem for problem in wrong if "gpio" not in tables and problem.where not in names]
    own = [problem for problem in wrong if problem.where.partition(".")[0] == "gpio"]
    if problems := [*malformed, *own, *guessed]:
        raise ConfigError(str(path), problems)
    pins = {name: value for name, value in values.items() if name.startswith("gpio.")}
    return Gpio(**{name.removeprefix("gpio."): value for name, value in pins.items()})


def from_values(
    origin: Origin, environment: Mapping[str, str], known: Sequence[Problem] = ()
) -> Config:
    """Turn values that are each valid into a `Config`; ConfigError has those `known` first."""
    base = origin.path.absolute().parent
    values, unreadable = read_hours(placed(origin.values, base, environment))
    places = wanted_by(origin.values)
    rules = (*RULES, *(rule for extra in extras_at(places) for rule in _rules(extra)))
    between = [problem for rule in rules for problem in rule(values)]
    if problems := [*known, *unreadable, *between]:
        raise ConfigError(str(origin.path), problems)
    return replace(_built(values, places), origin=origin)


def _rules(extra: Listed) -> Iterable[Rule]:
    declared = find(extra.name)
    return () if declared is None else declared.rules


def _built(values: Mapping[str, Any], places: Sequence[Place]) -> Config:
    sections: dict[str, dict[str, Any]] = {}
    known, own = schema(places), {place.where for place in places if place.extra.tables}
    further: list[Any] = []
    for name, value in values.items():
        table, _, leaf = name.rpartition(".")
        sections.setdefault(table, {})[leaf] = value
    # Inner tables first, for the outer one holds them.
    for table in sorted(sections.keys() - {""}, key=lambda name: name.count("."), reverse=True):
        outer, _, leaf = table.rpartition(".")
        section = known[table](**sections[table])
        if table in own:
            further.append(section)
        else:
            sections.setdefault(outer, {})[leaf] = section
    for table in own & LISTED:
        further += sections[""].pop(table)
    return Config(**sections[""], extras=tuple(further))


def read_tables(path: Path, written: bytes | None = None) -> Tables:
    """Read a file of TOML, or what is going to be `written` there.

    ConfigError has one problem: it can't be read, or is none.
    """
    try:
        written = path.read_bytes() if written is None else written
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
        return Problem("file not found", advice)
    why = (error.strerror or type(error).__name__).lower()
    return Problem("the file", f"can't be read ({why}); see its owner and mode, or use --config")


def _no_toml(error: ValueError) -> Problem:
    match = _PLACE.fullmatch(str(error))
    if match is None:
        return Problem("the file", "is no TOML: a number has too many digits")
    what, where = match.groups()
    return Problem(where, f"is no TOML: {what}; texts need quotes, a key and its value one line")


MAY_BE_ABSENT = frozenset({"hours", "sync"})
"""Tables whose absence is not the same as their defaults: no hours means always open."""

STAFFED = "hours.staffed"
"""Has the keys of another table; a misplaced key is meant for the other table."""

MOST_LISTED = 1000
"""A file with more dates, outputs or branches than this is a mistake."""

SENDER, OF_A_DOOR = "sync", frozenset({"reader"})
"""A sender's file may leave out what only a door has; a door's file may not."""


def checked(tables: Mapping[str, object]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the valid values by full key, with defaults, and what is wrong with the rest."""
    values: dict[str, Any] = {}
    asked = wanted(tables)
    problems = [problem for place in asked for problem in missing(place)]
    there = tuple(place for place in asked if find(place.extra.name) is not None)
    lost = {place.in_table for place in asked if place not in there}
    schemas = schema(there)
    for table, known in keys(there).items():
        if (first := table.partition(".")[0]) in MAY_BE_ABSENT and first not in tables:
            continue
        if table in OF_A_DOOR and SENDER in tables and table not in tables:
            blank = {key.name: "" for key in known.values() if key.default is REQUIRED}
            values |= {key.name: key.default for key in known.values()} | blank
            continue
        written = _written(tables, table)
        if table in LISTED:
            values[table], wrong = _rows(table, schemas[table], written)
            problems += wrong
        elif isinstance(written, dict):
            problems += check_table(known, written, values)
            leaves = _leaves(table, known, schemas)
            unknown = [leaf for leaf in written if leaf not in leaves]
            if table not in lost:
                problems += [each for leaf in unknown for each in _further(table, leaf, tables)]
        else:
            problems.append(Problem(table, f"found {shown(written)}; give a table: [{table}]"))
    outer = {name.partition(".")[0] for name in (*TABLES, *EXTRA_TABLES)}
    problems += [_unknown_table(name, at) for name, at in tables.items() if name not in outer]
    return values, problems


def _further(table: str, leaf: str, tables: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what is wrong with a key that is unknown in a table, or is another kind's."""
    key = keys()[table].get(leaf)
    if key is None:
        yield _unknown_key(table, leaf)
        return
    found: dict[str, Any] = {}
    yield from check_table({leaf: key}, {leaf: _written(tables, key.name)}, found)
    if found.get(key.name, key.default) != key.default:
        for name, kind in _kinds(table, tables):
            yield Problem(key.name, USELESS, beside=f"{name} = {shown(kind)}")


def _kinds(table: str, tables: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the keys of a table that choose a kind, and what they choose; none for no kind."""
    places = [place for place in every_place() if place.in_table == table]
    for name in dict.fromkeys(place.where for place in places if not place.extra.tables):
        default = keys(())[table][name.removeprefix(f"{table}.")].default
        kind = _written(tables, name) or default
        chosen = (default, *(each for place in places for each in place.extra.values))
        if kind and kind in chosen:
            yield name, kind


def _rows(table: str, section: type[Any], written: object) -> tuple[tuple[Any, ...], list[Problem]]:
    """Return the sections written one by one under ``[[table]]``; None in place of a wrong one."""
    if not written:
        return (), []
    if not isinstance(written, list) or not all(isinstance(row, dict) for row in written):
        what = f"found {shown(written)}; give each a table: [[{table}]]"
        return (), [Problem(table, what)]
    if len(written) > MOST_LISTED:
        return (), [Problem(table, f"found {len(written)} tables; give at most {MOST_LISTED}")]
    read = [_row(f"{table}[{place}]", section, row) for place, row in enumerate(written)]
    return tuple(row for row, _ in read), [problem for _, wrong in read for problem in wrong]


def _row(name: str, section: type[Any], written: Mapping[str, object]) -> tuple[Any, list[Problem]]:
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
    value: object = tables
    for part in table.split("."):
        value = value.get(part, {}) if isinstance(value, dict) else {}
    return value


def _leaves(table: str, known: Iterable[str], tables: Iterable[str]) -> list[str]:
    """Return what may stand in a table: its `known` keys, then those of all `tables` in it."""
    inner = (name.rpartition(".") for name in (*tables, *EXTRA_TABLES))
    return [*known, *(leaf for outer, _, leaf in inner if outer == table)]


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
        blank = text == "" and key.may_be_blank
        if isinstance(text, str) and not (text.isprintable() and (text.strip() or blank)):
            raise ValueError
    return msgspec.convert(written, key.annotation, dec_hook=_as_path)


def _as_path(_wanted: type, written: object) -> Path:
    if not isinstance(written, str):
        raise ValueError  # noqa: TRY004 - msgspec makes its own error of this one
    return Path(written)


def _advice(key: Key) -> str:
    return f"{key.allowed}, such as {key.example}"


def _unknown_key(table: str, leaf: str) -> Problem:
    known = _leaves(table, keys()[table], keys())
    meant = [f"{table}.{near}" for near in _near(leaf, known)] or _elsewhere(leaf)
    hint = f"did you mean {meant[0]}?" if meant else f"[{table}] has {', '.join(known)}"
    return Problem(shown_key(*table.split("."), leaf), f"unknown key; {hint}")


def _unknown_table(name: str, written: object) -> Problem:
    if not isinstance(written, dict):
        meant = _elsewhere(name)
        hint = f"did you mean {meant[0]}?" if meant else "every key stands in a table"
        return Problem(shown_key(name), f"unknown key; {hint}")
    near = _near(name, keys())
    outer = dict.fromkeys(name.partition(".")[0] for name in keys())
    hint = f"did you mean [{near[0]}]?" if near else f"there are {', '.join(outer)}"
    return Problem(shown_key(name), f"unknown table; {hint}")


def _near(written: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - for slips of the pen alone, 0.1 MB

    return get_close_matches(written[:LONGEST_SHOWN].lower(), known, n=1)


def _elsewhere(leaf: str) -> list[str]:
    # A key that every installation may have is meant before one of an extra.
    tables = sorted(keys(), key=lambda table: table in TABLES)
    everywhere = {
        key.leaf: key.name
        for table in tables
        for key in keys()[table].values()
        if table not in LISTED and table != STAFFED
    }
    return [everywhere[near] for near in _near(leaf, everywhere)]
