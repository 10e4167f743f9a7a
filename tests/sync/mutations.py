"""Pushes that were tampered with, and what a branch does to them.

``python -m tests.sync.mutations 100000`` tries that many and tells how they were refused.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import tempfile
import zlib
from collections import Counter
from contextlib import closing
from itertools import islice
from pathlib import Path

from doorctl.core.errors import PushError
from doorctl.store.patrons_changes import PushJournal
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.receive import Applying, Push
from tests.sync.pushes import SEAL, fed, receive, staging_of
from tests.sync.tampering import HELD, Mutant, mutants


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
