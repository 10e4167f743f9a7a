"""Pushes that were tampered with, and what a branch does to them.

``python -m tests.sync.mutations 100000`` tries that many and tells how they were refused.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import sqlite3
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from doorctl.core.errors import PushError
from doorctl.store.patrons_changes import PushJournal
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.document import read_manifest, sign, written
from doorctl.sync.receive import Applying, Push
from doorctl.sync.rows import Removal, encode
from tests.fuzz.push import WORDS
from tests.fuzz.targets import CHANGES, Stock
from tests.sync.pushes import KEY, OTHER_KEY, SEAL, Document, fed, receive, row, staging_of

HELD = Document([row(n) for n in range(8)], epoch=5)
VALID = (
    Document([row(n, blocks="E" * (n % 2)) for n in range(2, 10)], epoch=6, previous_epoch=5),
    Document([row(1), Removal("2"), row(9)], "changes", epoch=6, previous_epoch=5),
    Document([row(1), Removal("2")], "changes", epoch=6, previous_epoch=5, approved_by="M. Bech"),
)
NONSENSE = (
    b"\n", b"{}\n", b"[]\n", b"null\n", b'{"remove":NaN}\n', b'{"remove":"\xff"}\n',
    b'{"remove":"1","remove":"2"}\n', b'{"remove":"1"}{"remove":"2"}\n', b'{"remove":["1"]}\n',
    b'{"remove":' + b"[" * 2000 + b"\n", b'{"remove":"1","name":"x"}\n', b'{"remove":""}\n',
)  # fmt: skip
EDITS: Sequence[dict[str, Any]] = (
    {"epoch": 7}, {"epoch": 2**63 - 1}, {"previous_epoch": 4}, {"previous_epoch": 0},
    {"kind": "snapshot", "minimum_age": 1}, {"kind": "changes", "minimum_age": 1}, {"count": 2},
    {"minimum_age": 0}, {"approved_by": "somebody"}, {"signature": ""}, {"branch": "syd"},
    {"seal": msgspec.structs.replace(SEAL, iterations=2)}, {"signature": "A" * 86 + "=="},
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """What travels, and what was signed: nothing else may be applied."""

    how: str
    data: bytes
    signed: bytes


Way = Callable[[Random, Document], bytes]


def damaged(random: Random, data: bytes) -> bytes:
    """Return bytes with one to three small changes, as a fuzzer makes them."""
    stock = Stock((data,), WORDS, len(data) + 1000)
    for _ in range(random.randint(1, 3)):
        data = random.choice(CHANGES)(random, data, stock)
    return data


def damage(random: Random, document: Document) -> bytes:
    """Change bytes anywhere."""
    return damaged(random, document.data())


def rearrange_lines(random: Random, document: Document) -> bytes:
    """Lose a line, send one twice, or two in each other's place; the manifest too."""
    lines = document.data().splitlines(keepends=True)
    one, other = random.sample(range(len(lines)), 2)
    how = random.randrange(3)
    if how == 0:
        lines.pop(one)
    elif how == 1:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def replace_a_row(random: Random, document: Document) -> bytes:
    """Let somebody else in, or the same patron whatever the library says."""
    lines = document.data().splitlines(keepends=True)
    lines[random.randrange(1, len(lines))] = encode(row(random.randrange(100)))
    return b"".join(lines)


def edit_the_manifest(random: Random, document: Document) -> bytes:
    """Change a field that was signed."""
    first, _, rest = document.data().partition(b"\n")
    manifest = msgspec.structs.replace(read_manifest(first), **random.choice(EDITS))
    return written(manifest) + rest


def forge_the_digest(random: Random, document: Document) -> bytes:
    """Change the rows, and count and digest to fit."""
    first, _, _ = document.data().partition(b"\n")
    rows = b"".join(encode(row(number)) for number in random.sample(range(100), 3))
    manifest = msgspec.structs.replace(
        read_manifest(first), count=3, sha256=hashlib.sha256(rows).hexdigest()
    )
    return written(manifest) + rows


def sign_with_another_key(random: Random, document: Document) -> bytes:
    """Do all of it right but for the key."""
    lines = [row(number) for number in random.sample(range(100), 3)]
    return replace(document, lines=lines, key=OTHER_KEY).data()


def send_to_another_branch(random: Random, document: Document) -> bytes:
    """Take what was signed for a neighbour."""
    return replace(document, branch=random.choice(["syd", "langaa", "oes", "oest2"])).data()


def send_out_of_order(random: Random, document: Document) -> bytes:
    """Replay what was signed before, or send what follows on something else."""
    epoch = random.choice([1, 4, 5])
    late = replace(document, kind="changes", epoch=9, previous_epoch=random.choice([0, 4, 6, 8]))
    return random.choice([replace(document, epoch=epoch, previous_epoch=0), late, HELD]).data()


def seal_otherwise(random: Random, document: Document) -> bytes:
    """Sign rows of another installation key."""
    seal = msgspec.structs.replace(SEAL, iterations=random.randint(2, 9))
    return replace(document, seal=seal).data()


def sign_nonsense(random: Random, document: Document) -> bytes:
    """Sign a line that is none, in the right way: the sender's own mistake."""
    first, *lines = document.data().splitlines(keepends=True)
    lines.insert(random.randrange(len(lines) + 1), random.choice(NONSENSE))
    rows = b"".join(lines)
    manifest = msgspec.structs.replace(
        read_manifest(first), count=len(lines), sha256=hashlib.sha256(rows).hexdigest()
    )
    return written(sign(manifest, KEY)) + rows


def send_a_bomb(random: Random, document: Document) -> bytes:
    """Unfold to 3 MB after a manifest that is right."""
    first, _, _ = document.data().partition(b"\n")
    filler = random.choice([b"\n", b" ", b"{", encode(row(1))])
    return gzip.compress(first + b"\n" + filler * (3_000_000 // len(filler)), 1)


WAYS: Sequence[Way] = (
    damage, rearrange_lines, replace_a_row, edit_the_manifest, forge_the_digest,
    sign_with_another_key, send_to_another_branch, send_out_of_order, seal_otherwise, sign_nonsense,
)  # fmt: skip


def mutants(seed: int) -> Iterator[Mutant]:
    """Yield tampered pushes without end, plain and gzip; the same seed yields the same ones."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    while True:
        document = random.choice(VALID)
        signed = document.data()
        if random.random() < 0.001:
            yield Mutant("send_a_bomb", send_a_bomb(random, document), signed)
        elif random.random() < 0.2:
            yield Mutant("gzip", damaged(random, gzip.compress(signed, mtime=0)), signed)
        else:
            way = random.choice(WAYS)
            data = way(random, document)
            yield Mutant(way.__name__, random.choice([data, gzip.compress(data)]), signed)


class WouldApplyError(Exception):
    """All checks were passed: all that is left is the commit."""


class Halting(PushJournal):
    """A journal that is told of a push up to the commit, and then goes back."""

    def begin(self, _applying: Applying, _held: Push) -> None:
        """Do everything but commit."""
        raise WouldApplyError


class Target:
    """A branch that holds push 5, in a real database.

    `directory`: where the database is made.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "patrons.db"
        create_patrons(path, SEAL)
        self._writer = PatronCacheWriter(path, SEAL)
        self._reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self._receive(HELD.data())
        self._before = self._dump_hash()

    def try_out(self, mutant: Mutant) -> str:
        """Return the name of the error that refused it; "identical" for what was signed.

        Raises:
            AssertionError: it would have been applied, or it has changed the database.
        """
        try:
            self._receive(mutant.data, Halting(Path()))
        except PushError as error:
            answer = type(error).__name__
        except WouldApplyError:
            assert _unpacked(mutant.data) == mutant.signed, f"{mutant.how} would be applied"
            answer = "identical"
        else:
            assert _unpacked(mutant.data) == HELD.data(), f"{mutant.how} was taken for a repeat"
            answer = "repeat"
        assert self._dump_hash() == self._before, f"{mutant.how} has changed the database"
        return answer

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()

    def _dump_hash(self) -> str:
        return hashlib.sha256("\n".join(self._reader.iterdump()).encode()).hexdigest()

    def _receive(self, data: bytes, journal: PushJournal | None = None) -> None:
        receive(fed(staging_of(), data).finish(), self._writer, journal=journal)


def _unpacked(data: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(data) if data.startswith(b"\x1f") else data


def try_many(number: int, seed: int) -> Counter[tuple[str, str]]:
    """Try so many tampered pushes; return how often each way of tampering met each answer."""
    with tempfile.TemporaryDirectory() as directory, closing(Target(Path(directory))) as target:
        return Counter(
            (mutant.how, target.try_out(mutant)) for mutant in islice(mutants(seed), number)
        )


def main() -> None:
    """Print what became of as many mutants as the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    answers = try_many(arguments.number, arguments.seed)
    for (how, answer), count in sorted(answers.items()):
        print(f"{how:24} {answer:22} {count:8}")  # noqa: T201 - a command of its own
    refused = sum(count for (_, answer), count in answers.items() if answer.startswith("Push"))
    print(f"{refused} of {arguments.number} refused, nothing changed")  # noqa: T201 - as above


if __name__ == "__main__":
    main()
