"""The audit log's chain of hashes: a record can be erased, and nothing else can be changed.

``commitment = SHA256(salt || record)`` and ``hash = SHA256(hash before || commitment)``. Erasing
the record and its salt leaves the commitment, so the chain still holds; without the salt it can't
be tried out which record it was. A later entry names the records erased for a person's sake: any
other record that is gone, and not by age, is a break. Pure. A chain proves nothing against an
intruder who writes it anew from some entry on: so its head is kept elsewhere, with each answer to
the sync job.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from doorctl.core.errors import InputError

SALT_BYTES = 32
"""The salt is as long as the hash, and of fixed length: so it can be told from the record."""

ERASED = "subject_erased"
"""The action of an entry that says which records were erased for a person's sake."""

_HEAD = re.compile(r"(0|[1-9][0-9]{0,17}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's end: the last entry's number and its hash; number 0 for an empty chain."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def read(cls, text: str) -> Head:
        """Read a head from text such as ``41:9f86…``; raises InputError for any other text."""
        match = _HEAD.fullmatch(text)
        if match is None:
            raise InputError("a head of the audit log is a number, a colon and 64 hex digits")
        return cls(int(match[1]), bytes.fromhex(match[2]))


EMPTY = Head(0, hashlib.sha256(b"doorctl-audit/1").digest())
"""Where every chain begins."""


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of the chain as it is stored; record and salt are None once they are erased."""

    number: int
    record: bytes | None = field(repr=False)
    salt: bytes | None = field(repr=False)
    commitment: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of checking a chain.

    `entries` are those up to the first broken one. Of these `erased` have no record any more, and
    `erased_singly` of them came after one that is kept: not by age. `head` is the last good one,
    `broken` the number of the first entry that is not as it was written.
    """

    entries: int
    erased: int
    erased_singly: int
    head: Head
    broken: int | None = None
    why: str = ""


def linked(before: Head, record: bytes, salt: bytes) -> Link:
    """Return the link of a record that follows on a head; `salt` is random, of SALT_BYTES."""
    commitment = _sha256(salt, record)
    return Link(before.number + 1, record, salt, commitment, _sha256(before.hash, commitment))


def head_of(link: Link) -> Head:
    """Return the chain's end where a link is the last one."""
    return Head(link.number, link.hash)


def verify(links: Iterable[Link], last_number: int = 0, anchors: Collection[Head] = ()) -> Verdict:
    """Check a chain from its beginning.

    Fewer entries than `last_number`, the highest that was ever given, are a break. So is a chain
    without one of the `anchors`, heads that were kept elsewhere.
    """
    head, erased, singly, unexplained = EMPTY, 0, 0, set[int]()
    kept_seen = False
    highest = max([last_number, *(anchor.number for anchor in anchors)])
    if not _agrees(EMPTY, anchors):
        return Verdict(0, 0, 0, EMPTY, 0, "the head that was kept elsewhere is of another chain")
    for link in links:
        why = _fault(link, head, anchors)
        if why:
            return Verdict(head.number, erased, singly, head, head.number + 1, why)
        head = head_of(link)
        erased += link.record is None
        if link.record is not None:
            kept_seen = True
            unexplained -= _explained(link.record, unexplained)
        elif kept_seen:
            singly += 1
            unexplained.add(link.number)
    if head.number < highest:
        return Verdict(head.number, erased, singly, head, head.number + 1, "it is missing")
    if unexplained:
        why = "its record is gone, and no later entry says that it was erased"
        return Verdict(head.number, erased, singly, head, min(unexplained), why)
    return Verdict(head.number, erased, singly, head)


def erased_numbers(numbers: Iterable[int]) -> dict[str, int]:
    """Return the details of an entry that names erased records: how many, and runs of numbers."""
    runs: list[tuple[int, int]] = []
    ordered = sorted(numbers)
    for number in ordered:
        first = runs.pop()[0] if runs and runs[-1][1] == number - 1 else number
        runs.append((first, number))
    return {"entries": len(ordered), **{f"entries {first} to": last for first, last in runs}}


def _explained(record: bytes, numbers: Collection[int]) -> set[int]:
    """Return those of some numbers that a record names as erased."""
    try:
        read = json.loads(record)
        details = read["details"] if read["action"] == ERASED else {"entries": 0}
        # Older records say only that there was an erasure, and no numbers.
        if "rows" in details and "entries" not in details:
            return set(numbers)
        runs = [(name.split(), last) for name, last in details.items() if name.endswith(" to")]
        return {n for n in numbers for name, last in runs if int(name[1]) <= n <= last}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return set()


def _fault(link: Link, before: Head, anchors: Collection[Head]) -> str:
    """Return what is wrong with a link that should follow on a head, or nothing."""
    if link.number != before.number + 1:
        return "it is missing" if link.number > before.number else "its number was there before"
    if (link.record is None) is not (link.salt is None):
        return "it is half erased"
    if not _commits(link):
        return "its record was changed"
    if link.hash != _sha256(before.hash, link.commitment):
        return "it does not follow on the entry before"
    if not _agrees(head_of(link), anchors):
        return "it is not the one whose hash was kept elsewhere"
    return ""


def _commits(link: Link) -> bool:
    if link.record is None or link.salt is None:
        return True
    return len(link.salt) == SALT_BYTES and link.commitment == _sha256(link.salt, link.record)


def _agrees(head: Head, anchors: Collection[Head]) -> bool:
    return all(anchor == head for anchor in anchors if anchor.number == head.number)


def _sha256(first: bytes, second: bytes) -> bytes:
    return hashlib.sha256(first + second).digest()
