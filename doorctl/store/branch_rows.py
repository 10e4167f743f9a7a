"""Records of ``branch.db`` as rows and back, and its layout.

A card or code is stored under its row key, a patron under the library system's opaque number.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import date, datetime
from operator import index
from typing import Any, NamedTuple

import orjson

from doorctl.access.calendar import (
    Day,
    Mode,
    ModeSpan,
    Span,
)
from doorctl.access.codes import MIN_CODE_DIGITS, guessable
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.privacy.tables import BRANCH
from doorctl.store import tables
from doorctl.store.layout import Layout, releases
from doorctl.store.tables import (
    create_tables,
    from_ms,
    maybe,
    of_database,
    to_ms,
)

FACTOR_KEY = "second_factor.key"
"""The file with the key that seals the secrets of authenticator apps, so that no copy of
``branch.db`` holds them in the clear. With a backup that lacks it only the recovery codes work."""

BANS = tables.BANS.but("row_key", "patron_ref", "lifted_ms")
"""The columns of a ban, in the order of :func:`to_ban`."""

PASSES = tables.PASSES.but("row_key", "revoked_ms")
"""The columns of a pass, named as its fields, in the order of :func:`to_pass`."""

_PASS_FIELDS = PASSES.split(", ")

OVERRIDES = tables.OVERRIDES.but("number", "set_ms", "ended_ms", "ended_by")
"""The columns of an override, in the order of :func:`to_override`."""


def _first_release(database: sqlite3.Connection) -> None:
    """Lay out all tables, and draw their salts."""
    create_tables(database, of_database(BRANCH), (0, 2))
    for table, size in (("tombstone_salt", 16), ("sign_in_salt", 32)):
        database.execute(f"INSERT INTO {table} VALUES (1, ?)", (secrets.token_bytes(size),))  # noqa: S608 -- ours


migrations = Layout("branch", {"release_0_2": _first_release, **releases(BRANCH, (0, 3))})


def from_ban(ban: Ban) -> tuple[object, ...]:
    """Return a ban as the values of :data:`BANS` without its number."""
    branches = orjson.dumps(sorted(ban.branches)).decode()
    times = (to_ms(ban.since), maybe(to_ms, ban.until))
    return ban.reason, *times, ban.by, branches, ban.note


def to_ban(record: tuple[Any, ...]) -> Ban:
    """Return the ban of a record of :data:`BANS`, else raise TypeError or ValueError."""
    number, reason, since_ms, until_ms, by, branches, note = record
    times = (from_ms(since_ms), maybe(from_ms, until_ms))
    return Ban(number, reason, *times, by, frozenset(orjson.loads(branches)), note)


def from_pass(issued: Pass) -> tuple[object, ...]:
    """Return a pass as the values of :data:`PASSES` without its number."""
    days = (issued.first_day.isoformat(), issued.last_day.isoformat())
    weekdays = "".join(map(str, sorted(issued.weekdays)))
    spans = " ".join(f"{span.opens}-{span.closes}" for span in issued.more_times)
    times = (weekdays, issued.from_minute, issued.to_minute, spans, issued.outside_hours)
    use = (issued.needs_pin, issued.pin_check, issued.code_digits, issued.companions_max)
    return issued.kind.value, *days, *times, *use, issued.label


def to_pass(record: tuple[Any, ...]) -> Pass:
    """Return the pass of a record of :data:`PASSES`, else raise TypeError or ValueError."""
    values = dict(zip(_PASS_FIELDS, record, strict=True))
    spans = values["more_times"].split()
    return Pass(
        **values
        | {name: date.fromisoformat(values[name]) for name in ("first_day", "last_day")}
        | {name: bool(values[name]) for name in ("outside_hours", "needs_pin")}
        | {
            "kind": PassKind(values["kind"]),
            "weekdays": frozenset(map(int, values["weekdays"])),
            "more_times": tuple(Span(*map(int, span.split("-"))) for span in spans),
        }
    )


def from_override(override: Override) -> tuple[object, ...]:
    """Return an override as the values of :data:`OVERRIDES`."""
    return override.mode.value, to_ms(override.until), override.cause, override.by


def to_override(record: tuple[Any, ...]) -> Override:
    """Return the override of a record of :data:`OVERRIDES`, else raise TypeError or ValueError."""
    mode, until_ms, cause, by = record
    return Override(Mode(mode), from_ms(until_ms), cause, by)


@dataclass(frozen=True, slots=True)
class LastOverride:
    """The mode that staff have set last; `ended_by` ended it by hand at `ended_at`, UTC.

    `ended_at` alone: it is not known who did.
    """

    number: int
    override: Override
    ended_at: datetime | None
    ended_by: str = ""

    @property
    def version(self) -> int:
        """A number that changes with each change of the mode by hand."""
        return 2 * self.number + (self.ended_at is not None)

    @property
    def standing(self) -> Override | None:
        """The mode, unless staff ended it; its time may be over."""
        return self.override if self.ended_at is None else None


class ModeDeed(NamedTuple):
    """That the account `by` has set a mode or, without a `cause`, ended one, at a UTC time."""

    at: datetime
    by: str
    cause: str


def _to_last(record: tuple[Any, ...]) -> LastOverride:
    number, ended_ms, ended_by, *override = record
    return LastOverride(number, to_override(tuple(override)), maybe(from_ms, ended_ms), ended_by)


def from_spans(days: tuple[Day, ...]) -> str:
    """Return days' spans as JSON: for each day a list of mode, start and end in minutes."""
    lists = [[(span.mode.value, span.starts, span.ends) for span in day] for day in days]
    return orjson.dumps(lists).decode()


def to_spans(text: str) -> tuple[Day, ...]:
    """Return the spans that :func:`from_spans` wrote, else raise TypeError or ValueError."""
    return tuple(
        tuple(ModeSpan(Mode(mode), index(starts), index(ends)) for mode, starts, ends in day)
        for day in orjson.loads(text)
    )


def new_code(digits: int = MIN_CODE_DIGITS) -> Identifier:
    """Draw a random code that is not an obvious guess; 85 % of the six-digit codes remain.

    The operating system's generator draws it; it is derived from nothing. Staff see the digits
    once, after ``code:`` in the identifier, and they are stored nowhere; a lost code is revoked
    and replaced. A code that is taken is refused when it is issued: draw another then.
    """
    while guessable(code := f"{secrets.randbelow(10**digits):0{digits}}"):
        pass
    return Identifier(IdentifierKind.CODE, code)
