"""What an export of another system costs beside one in the feed's own names, by processor time."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from xml.sax.saxutils import escape

from doorctl.extras.mapping import FeedMap, MappedIdentifiers, Source
from doorctl.extras.mapping.reading import reader_of
from doorctl.extras.mapping.verbs import Verbs
from doorctl.sync.feed import read_rows
from tests.benchmark.figures import NS_PER_MS, Figure, Plan

BUDGET: Final = 1.5
"""Most that a map may cost, in times of the same rows in the feed's own names."""

PART: Final = "export read by a map"

KINDS: Final = ("ndjson", "json", "csv", "xml")

MAP: Final = FeedMap(
    patron_id="id",
    pincode="pin",
    birthday=Verbs(path="born", format="%d/%m/%Y"),
    resident=Verbs(path="category", among=("RESIDENT", "CHILD")),
    valid_until="expires",
    blocks=(Verbs(path="restricted", present="D"), Verbs(path="lost", present="L")),
    tags=Verbs(path="rooms", split="|"),
    identifiers=MappedIdentifiers(card="cardnumber"),
)
"""Eight fields and four verbs, as a usual system needs."""


def sources(plan: Plan, work: Path) -> Iterator[Figure]:
    """Read the same register in the feed's names and as each kind of source, in pairs."""
    work.mkdir(parents=True)
    native = write_native(work / "native.ndjson", plan.sourced)
    for kind in KINDS:
        mapped = write_mapped(work / f"mapped.{kind}", kind, plan.sourced)
        rows_of = reader_of(source(kind))
        pairs = [
            (
                _ms(partial(read_rows, mapped, pin_length=4, rows_of=rows_of)),
                _ms(partial(read_rows, native, pin_length=4)),
            )
            for _ in range(plan.pairs)
        ]
        ratio = statistics.median(own / floor for own, floor in pairs)
        own, floor = (statistics.median(each) for each in zip(*pairs, strict=True))
        part = f"{PART}, {plan.sourced:,} patrons"
        yield Figure(part, f"{kind}; floor: the feed's own names", own, "ms", plan.pairs, floor)
        yield Figure(part, f"{kind}, ratio", ratio, "x", plan.pairs, budget=BUDGET)


def source(kind: str) -> Source:
    """Return the table [source] of these exports."""
    records = {"json": "users", "xml": "user"}.get(kind, "")
    return Source(kind=kind, records=records, map=MAP)  # type: ignore[arg-type]


def _ms(read: Callable[[], object]) -> float:
    before = time.process_time_ns()
    read()
    return (time.process_time_ns() - before) / NS_PER_MS


def write_native(path: Path, count: int) -> Path:
    """Write a register in the feed's own names."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(_native(_row(number))) + "\n" for number in range(count))
    return path


def write_mapped(path: Path, kind: str, count: int) -> Path:
    """Write the same register as a file of one of `KINDS`."""
    first, between, last = FRAMES[kind]
    with path.open("w", encoding="utf-8") as file:
        file.write(first)
        for number in range(count):
            file.write(between * bool(number) + WRITTEN[kind](_row(number)))
        file.write(last)
    return path


def _row(number: int) -> dict[str, str]:
    return {
        "id": str(number + 1),
        "cardnumber": f"3{number:09}",
        "pin": f"{number * 7919 % 10_000:04}",
        "born": f"{number % 28 + 1:02}/{number % 12 + 1:02}/{1930 + number % 75}",
        "category": "GUEST" if number % 20 == 0 else "RESIDENT",
        "expires": "2030-01-31",
        "restricted": "1" if number % 50 == 0 else "",
        "lost": "0",
        "rooms": "study|music" if number % 10 == 0 else "",
    }


def _native(row: Mapping[str, str]) -> dict[str, Any]:
    day, month, year = row["born"].split("/")
    card = {"identifier": row["cardnumber"], "identifierType": "CARD", "status": "ACTIVE"}
    return {
        "patronId": row["id"],
        "identifiers": [card | {"expiryDate": row["expires"]}],
        "pincode": row["pin"],
        "resident": row["category"] == "RESIDENT",
        "birthday": f"{year}-{month}-{day}",
        "blockStatus": [{"blockedReason": "D"}] if row["restricted"] else [],
        "onHold": None,
        "tags": row["rooms"].split("|") if row["rooms"] else [],
    }


def _element(row: Mapping[str, str]) -> str:
    fields = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in row.items())
    return f"<user>{fields}</user>\n"


HEADER: Final = ",".join(_row(0)) + "\n"

FRAMES: Final = MappingProxyType(
    {
        "ndjson": ("", "", ""),
        "json": ('{"users":[', ",", "]}"),
        "csv": (HEADER, "", ""),
        "xml": ("<users>", "", "</users>"),
    }
)
"""Kind -> what stands before the first row, between two, and behind the last."""

WRITTEN: Final[Mapping[str, Callable[[Mapping[str, str]], str]]] = MappingProxyType(
    {
        "ndjson": lambda row: json.dumps(row) + "\n",
        "json": json.dumps,
        "csv": lambda row: ",".join(row.values()) + "\n",
        "xml": _element,
    }
)
