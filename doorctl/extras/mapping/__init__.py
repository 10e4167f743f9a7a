"""A library system's own export, read by a map: ``[source]`` and ``[source.map]``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from doorctl.config.rules import USELESS, Values
from doorctl.config.tables import key, shown
from doorctl.core.errors import Problem
from doorctl.extras.extra import Extra
from doorctl.extras.mapping.verbs import Verbs, steps_of

if TYPE_CHECKING:
    from doorctl.config import Config
    from doorctl.extras.extra import SenderParts
    from doorctl.sync.feed import RowsOf

TABLE = "source.map"

Entry = Annotated[str, Meta(min_length=1, max_length=200)] | Verbs
Entries = Entry | Annotated[tuple[Entry, ...], Meta(max_length=16)]

ONE = "a path, or a table of verbs"
MANY = "a path, a table of verbs, or a list of these"


def _one(example: object, default: Any = "") -> Any:
    return key(default, example=example, allowed=ONE)


def _many(example: object) -> Any:
    return key((), example=example, allowed=MANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedIdentifiers:
    """Where the numbers stand that a reader reads."""

    card: Entries = _many("cardnumber")
    cpr: Entries = _many("ssn")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMap:
    """Where each field of the feed stands in a row of the library system."""

    patron_id: Entry = _one("borrowernumber", "patronId")
    pincode: Entry = _one("pin")
    pincode_changed: Entry = _one("pin_changed")
    birthday: Entry = _one("dateofbirth")
    resident: Entry = _one("categorycode", "resident")
    blocks: Entries = _many("debarred")
    valid_until: Entry = _one("dateexpiry")
    active: Entry = _one("active")
    on_hold: Entry = _one("suspended_from")
    on_hold_until: Entry = _one("suspended_until")
    tags: Entries = _many("categorycode")
    identifiers: MappedIdentifiers = field(default_factory=MappedIdentifiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What kind of file the export is."""

    kind: Literal["ndjson", "json", "csv", "xml"] = key("csv")
    encoding: str = key(
        "utf-8", example="latin-1", allowed="the name of an encoding", max_length=32
    )
    delimiter: str = key("", example=";", allowed='one character, or "" to see', max_length=1)
    pins: Literal["export", "learnt"] = key("export")
    records: str = key("", example="users", allowed='the name of a list or element, or ""')
    map: FeedMap = field(default_factory=FeedMap)


def paths_are_paths(values: Values) -> Iterator[Problem]:
    """In JSON and XML a path has steps; in CSV it is a column's name, whatever that is."""
    if values.get("source.kind") == "csv":
        return
    for name, written in values.items():
        if not name.startswith(f"{TABLE}."):
            continue
        for entry in written if isinstance(written, tuple) else (written,):
            path = entry.path if isinstance(entry, Verbs) else entry
            with suppress(ValueError):
                if path:
                    steps_of(path)
                continue
            what = "found {found}, which is no path; give one such as personal.born or cards[]"
            yield Problem(name, what, found=shown(path))


LAST = ("among", "true_if", "present", "format")
WRITTEN = {"among": "in"}
FLAGS, DAYS, CODES = frozenset({"among", "true_if"}), frozenset({"format"}), frozenset({"present"})
TAKES = MappingProxyType(
    {
        "resident": FLAGS,
        "active": FLAGS,
        # `in` would let in those with any other value.
        "on_hold": frozenset({"format", "true_if"}),
        "blocks": CODES,
        "tags": CODES,
        **dict.fromkeys(("birthday", "pincode_changed", "valid_until", "on_hold_until"), DAYS),
    }
)
"""Which of the last four verbs a field takes; others take none."""

RESTRICTING = ("blocks", "on_hold")
"""Fields that keep a patron out: no verb of these may lose a part of the value."""

OF_KINDS = MappingProxyType(
    {"encoding": ("csv",), "delimiter": ("csv",), "records": ("json", "xml")}
)
"""Key -> the kinds that read it."""


def encoding_is_known(values: Values) -> Iterator[Problem]:
    """Python knows the encoding."""
    name = values.get("source.encoding")
    try:
        # Some that Python knows are none of texts.
        "".encode(name or "utf-8")
    except (LookupError, ValueError):
        what = 'found {found}, which is no encoding; give one such as "utf-8" or "latin-1"'
        yield Problem("source.encoding", what, found=shown(name))


def has_numbers(values: Values) -> Iterator[Problem]:
    """Some column holds what a reader reads."""
    inner = f"{TABLE}.identifiers"
    if not (values.get(f"{inner}.card") or values.get(f"{inner}.cpr")):
        yield Problem(f"{inner}.card", "missing; give the path of the cards' numbers")


def xml_has_records(values: Values) -> Iterator[Problem]:
    """XML needs the name of its rows' element."""
    if values.get("source.kind") == "xml" and not values.get("source.records"):
        yield Problem("source.records", 'missing; give the name of a row\'s element, as "user"')


def keys_fit_the_kind(values: Values) -> Iterator[Problem]:
    """No key is there that files of the kind have no use for."""
    kind = values.get("source.kind")
    for leaf, kinds in OF_KINDS.items():
        if kind not in kinds and values.get(f"source.{leaf}") not in ("", "utf-8", None):
            yield Problem(f"source.{leaf}", USELESS, beside=f"source.kind = {shown(kind)}")


def verbs_fit(values: Values) -> Iterator[Problem]:
    """Each field has verbs that mean something there, and none that hides what keeps a patron out.

    Bug (a second reader): ``first`` on blocks, or ``in``, let in patrons whom the export keeps out.
    """
    for name, written in values.items():
        if not name.startswith(f"{TABLE}."):
            continue
        leaf = name.removeprefix(f"{TABLE}.")
        for verbs in _entries(written):
            said = {verb for verb in LAST if getattr(verbs, verb)} - TAKES.get(leaf, frozenset())
            if said:
                verb = WRITTEN.get(min(said), min(said))
                yield Problem(name, "found the verb {verb}, which means nothing here", verb=verb)
            elif leaf in RESTRICTING and _loses(verbs):
                yield Problem(
                    name, "loses a part of what keeps a patron out; give no first, [0] or strip"
                )


def _loses(verbs: Verbs) -> bool:
    picks = re.search(r"\[[0-9]+\]", verbs.path) is not None
    return verbs.first or picks or any(map(str.isalnum, verbs.strip))


def pause_has_one_end(values: Values) -> Iterator[Problem]:
    """A pause by a word has no last day: it is over when the word is gone."""
    by_word = any(verbs.true_if for verbs in _entries(values.get(f"{TABLE}.on_hold")))
    if by_word and values.get(f"{TABLE}.on_hold_until"):
        yield Problem(f"{TABLE}.on_hold_until", USELESS, beside="true_if of on_hold")


def pins_can_be_learnt(values: Values) -> Iterator[Problem]:
    """An export without PINs is one on purpose: each branch then asks its library system."""
    learnt, pincode = values.get("source.pins") == "learnt", values.get(f"{TABLE}.pincode")
    if learnt and pincode:
        yield Problem(f"{TABLE}.pincode", USELESS, beside='source.pins = "learnt"')
    elif not learnt and pincode == "":
        what = 'missing; give the PINs\' path, or source.pins = "learnt" where each branch has '
        yield Problem(f"{TABLE}.pincode", what + "an [lms] that checks them")
    has_door = values.get("reader.port")
    if learnt and has_door and values.get("policy.require_pin") and not values.get("lms.kind"):
        what = 'found "learnt", but no library system is there to check a PIN; give lms.kind'
        yield Problem("source.pins", what)


def _entries(written: Any) -> Iterator[Verbs]:
    for entry in written if isinstance(written, tuple) else (written,):
        if isinstance(entry, Verbs):
            yield entry


def rows_of(config: Config) -> RowsOf:
    """Return how the rows of an export are read."""
    from doorctl.extras.mapping.reading import reader_of

    (source,) = config.all_of(Source)
    return reader_of(source)


def notes(config: Config) -> Iterator[str]:
    """Say on whom patrons depend whose export has no PINs, where that is another machine's [lms].

    The server sees no branch's file: each branch's own check-config says whether it names one.
    """
    (source,) = config.all_of(Source)
    if source.pins == "learnt" and config.policy.require_pin and not config.lms.kind:
        yield (
            "source: the export has no PINs, so a patron gets in only at a branch whose own [lms] "
            "names a library system that checks them"
        )


def set_up(parts: SenderParts) -> str:
    """Ask which system the library has; return the sender's file with its map."""
    from doorctl.extras.mapping.dialogue import set_up

    return set_up(parts)


EXTRA = Extra(
    section=Source,
    rules=(
        encoding_is_known,
        paths_are_paths,
        has_numbers,
        xml_has_records,
        keys_fit_the_kind,
        verbs_fit,
        pause_has_one_end,
        pins_can_be_learnt,
    ),
    rows=rows_of,
    notes=notes,
    sender=set_up,
)
