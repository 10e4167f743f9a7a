"""Reads an export by ``[source]``: its rows, one by one, as rows of the feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from doorctl.extras.mapping.elements import xml_records
from doorctl.extras.mapping.json_document import json_records
from doorctl.extras.mapping.records import Numbered, csv_records
from doorctl.extras.mapping.translation import Field, Translation, columns, field_of
from doorctl.extras.mapping.verbs import Verbs
from doorctl.sync.feed import json_rows

if TYPE_CHECKING:
    from doorctl.extras.mapping import Entries, Entry, FeedMap, Source
    from doorctl.sync.feed import RowsOf

LISTS = ("blocks", "tags")
"""Fields of which a patron has many; others are single."""


def reader_of(source: Source) -> RowsOf:
    """Return a function from an open file to the numbered rows of the feed in it."""
    translation = translation_of(source.map, is_flat=source.kind == "csv")
    return partial(_translated, source=source, translation=translation)


def translation_of(written: FeedMap, *, is_flat: bool) -> Translation:
    """Return a map of the configuration, made ready."""

    def field(leaf: str, entry: Entry) -> Field:
        verbs = entry if isinstance(entry, Verbs) else Verbs(path=entry)
        return field_of(f"source.map.{leaf}", verbs, is_flat=is_flat)

    def several(leaf: str, entries: Entries) -> tuple[Field, ...]:
        all_of_them = entries if isinstance(entries, tuple) else (entries,)
        return tuple(field(leaf, entry) for entry in all_of_them)

    own = written.identifiers
    leaves = {each.name for each in fields(written)} - {"identifiers", *LISTS}
    singles = {leaf: field(leaf, entry) for leaf in leaves if (entry := getattr(written, leaf))}
    lists = {
        "CARD": several("identifiers.card", own.card),
        "CPR": several("identifiers.cpr", own.cpr),
        "blocks": several("blocks", written.blocks),
        "tags": several("tags", written.tags),
    }
    return Translation(singles, lists)


def _translated(file: BinaryIO, source: Source, translation: Translation) -> Numbered:
    needed = columns(list(translation.fields))
    for number, row in records(file, source, needed):
        yield number, row if isinstance(row, ValueError) else translation.translated(row)


def records(file: BinaryIO, source: Source, needed: Mapping[str, str]) -> Numbered:
    """Yield the rows of an open file as they are written; `needed` as `csv_records` has it."""
    match source.kind:
        case "ndjson":
            return json_rows(file)
        case "json":
            return json_records(file, source.records)
        case "xml":
            return xml_records(file, source.records)
    return csv_records(file, encoding=source.encoding, delimiter=source.delimiter, needed=needed)
