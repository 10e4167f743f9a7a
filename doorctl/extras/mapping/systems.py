"""The library systems that setup knows: each one's ready map, as a draft that answers change."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import convert

from doorctl.config.shipped import shipped
from doorctl.core.errors import StoreError
from doorctl.extras.mapping.translation import Field, field_of
from doorctl.extras.mapping.verbs import Verbs

Entry = dict[str, Any]
"""A table of verbs, as the file has it."""

FBS, OTHER = "fbs", "another"

SYSTEMS: Mapping[str, str] = {
    "koha-report": "Koha: a saved SQL report, as CSV",
    "koha-api": "Koha: what its API answers, as JSON",
    "folio": "FOLIO: users as JSON",
    "alma-xml": "Alma: users as XML",
    "alma-json": "Alma: users as JSON",
    "sierra": "Sierra: patrons as JSON",
    "evergreen": "Evergreen: a query, as CSV",
    "rero-ils": "RERO ILS: patrons as JSON",
    "sirsidynix": "SirsiDynix Symphony: selected users, cells with | between them",
    "spreadsheet": "A spreadsheet, saved as CSV",
    FBS: "FBS, or a file in doorctl's own names",
    OTHER: "Another system",
}
"""What is typed -> what it is, in English; all but the last two have a ready map of that name."""

OWN_NAMES = frozenset({"spreadsheet", "sirsidynix", OTHER})
"""Systems whose columns a library names itself, and so what is written in them too."""

LABELS: Mapping[str, str] = {
    "patron_id": "the library system's number of a patron, which opens no door",
    "identifiers.card": "the number on the card, as a reader reads it",
    "identifiers.cpr": "the CPR number",
    "pincode": "the PIN",
    "birthday": "the birthday",
    "resident": "whether the patron lives here",
    "valid_until": "the last day of the card",
    "blocks": "what keeps a patron out",
    "active": "whether the card counts at all",
}
"""Key of the map -> what stands there, in English, in the order in which it is asked for."""

_MARK = "# Set up for "
_HEADS = ("kind", "encoding", "delimiter", "records", "pins")


@dataclass
class Draft:
    """A ``[source]`` as far as it is known: its keys, and the entries of its map by key."""

    head: dict[str, Any]
    entries: dict[str, list[Entry]]

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Draft:
        """Return the draft of a table as a file has it."""
        written = dict(source.get("map", {}))
        inner = written.pop("identifiers", {})
        flat = written | {f"identifiers.{leaf}": entry for leaf, entry in inner.items()}
        entries = {leaf: [*_entries(entry)] for leaf, entry in flat.items()}
        return cls({key: source[key] for key in _HEADS if key in source}, entries)

    @property
    def is_flat(self) -> bool:
        """Whether a path is a column's name."""
        return bool(self.head.get("kind", "csv") == "csv")

    def placed(self) -> Iterator[tuple[str, Entry]]:
        """Yield each entry that has a path, with its key."""
        for leaf, entries in self.entries.items():
            yield from ((leaf, entry) for entry in entries if entry.get("from"))

    def field(self, leaf: str, entry: Entry) -> Field:
        """Return an entry ready to be read. ValueError: it is no table of verbs."""
        return field_of(leaf, convert(entry, Verbs), is_flat=self.is_flat)

    def text(self, system: str) -> str:
        """Return the tables as they stand in a file, with a line that names the system."""
        tables: dict[str, list[str]] = {"source": [], "source.map": []}
        tables["source"] += [f"{key} = {_toml(self.head[key])}" for key in self.head]
        for leaf, entries in self.entries.items():
            table, _, name = f"source.map.{leaf}".rpartition(".")
            written = [each["from"] if each.keys() == {"from"} else each for each in entries]
            if written:
                value = written[0] if len(written) == 1 else written
                tables.setdefault(table, []).append(f"{name} = {_toml(value)}")
        parts = ("\n".join((f"[{name}]", *lines)) for name, lines in tables.items())
        return f"{_MARK}{system}.\n" + "\n\n".join(parts) + "\n"


def _entries(written: Any) -> Iterator[Entry]:
    for entry in (
        written if isinstance(written, Sequence) and type(written) is not str else [written]
    ):
        yield {"from": entry} if isinstance(entry, str) else dict(entry)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def ready(system: str) -> dict[str, Any]:
    """Return the ``[source]`` of a system's ready map; of another system's the kind alone."""
    if system in (FBS, OTHER):
        return {"kind": "csv", "map": {}}
    table: dict[str, Any] = tomllib.loads(
        shipped(f"sources/{system}.toml").read_text(encoding="utf-8")
    )["source"]
    return table


def recognised(text: str, source: Mapping[str, Any]) -> str:
    """Return the system of a file's ``[source]``: by the line that names it, or by its map."""
    if not source:
        return FBS
    if (named := re.search(rf"^{_MARK}([a-z-]+)\.$", text, re.MULTILINE)) and named[1] in SYSTEMS:
        return named[1]
    for system in SYSTEMS.keys() - {FBS, OTHER}:
        try:
            if _shape(ready(system)) == _shape(source):
                return system
        except StoreError:
            continue
    return OTHER


def _shape(source: Mapping[str, Any]) -> tuple[object, ...]:
    return *(source.get(key) for key in ("kind", "records")), source.get("map", {}).get("patron_id")


_SECTION = re.compile(r"\[source(\.map(\.identifiers)?)?\]\s*(#.*)?$")


def with_source(text: str, block: str) -> str:
    """Return a file's text with another ``[source]``, or none; all else stays as it is.

    The new one stands where the old one did, or at the end.
    """
    kept: list[str] = []
    behind: list[str] = []
    place, is_inside = -1, False
    for line in text.splitlines(keepends=True):
        if line.startswith(_MARK) or _SECTION.match(line.strip()):
            place = len(kept) if place < 0 else place
            is_inside, behind = True, [each for each in behind if each.strip()]
        elif is_inside and (line.startswith("#") or not line.strip()):
            # What stands last in a table is most often about the next one.
            behind.append(line)
        elif is_inside and not line.startswith("["):
            behind.clear()
        else:
            is_inside = False
            kept += [*behind, line]
            behind.clear()
    kept += behind
    if place < 0:
        kept += ["" if text.endswith("\n") else "\n", "\n" * bool(block)]
        place = len(kept)
    return "".join([*kept[:place], block, *kept[place:]])
