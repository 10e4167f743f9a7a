"""A process that takes in one push as the web process does, says so, and ends.

Its words are the directory, the document and maybe a flaw; a flaw makes it do so wrongly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from doorctl.access.patron import Applied, SealedRow
from doorctl.config.tables import Push as Limits
from doorctl.core.errors import DoorctlError
from doorctl.core.ports import Seal
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, open_or_create_patrons
from doorctl.sync.document import Kind
from doorctl.sync.receive import Guard, Terms, unguarded
from doorctl.web.pushes import Reception
from tests.fakes.clock import FakeClock
from tests.sync.pushes import KEY, SEAL

STORE_SEAL = Seal(SEAL.key_id, SEAL.memory_kib, SEAL.iterations)
TERMS = Terms("oest", (KEY.verify_key(),), Limits(), SEAL, unguarded)
CHUNK_BYTES = 16 * 1024
"""About what arrives at once from a network."""

ACKNOWLEDGED = "acknowledged"
TORN, HASTY = "torn", "hasty"
"""Flaws: a push that is committed in two parts; one that is acknowledged before its commit."""


class TornWriter(PatronCacheWriter):
    """Commits the first half of a snapshot for itself."""

    def apply(self, rows: Iterable[SealedRow], *, guard: Guard, **terms: Any) -> Applied:
        """Apply rows wrongly."""
        remaining = iter(rows)
        half = list(islice(remaining, 50))
        terms |= {"guard": guard}
        super().apply(half, **(terms | {"full": False, "push": None}))
        return super().apply(chain(half, remaining), **terms)


def take_in(
    directory: Path,
    document: bytes,
    kind: Kind,
    flaw: str = "",
    acknowledge: Callable[[], None] = lambda: None,
) -> None:
    """Take a push in from its first byte to the commit.

    `flaw`: one of those above, or nothing; `acknowledge`: is called once it is committed, while the
    cache is still open.

    Raises:
        DoorctlError: it is refused, or the disk fails.
    """
    path = directory / "patrons.db"
    opened = TornWriter(path, STORE_SEAL) if flaw == TORN else None
    with (
        closing(opened or open_or_create_patrons(path, STORE_SEAL)) as writer,
        closing(PatronCache(path, STORE_SEAL)) as lookup,
    ):
        reception = Reception(
            TERMS, writer=writer, lookup=lookup, clock=FakeClock(), directory=directory
        )
        hasty = acknowledge if flaw == HASTY else lambda: None
        take_in_by(reception, document, kind, hasty)
        acknowledge()


def take_in_by(
    reception: Reception, document: bytes, kind: Kind, hasty: Callable[[], None] = lambda: None
) -> None:
    """Take a push in from its first byte to the commit, by what is open already.

    Args:
        reception: takes it.
        document: the push.
        kind: what it is sent as.
        hasty: is called before the commit; only a flawed driver does anything then.

    Raises:
        DoorctlError: it is refused, or the disk fails.
    """
    with closing(reception.staging()) as staging:
        for place in range(0, len(document), CHUNK_BYTES):
            staging.feed(document[place : place + CHUNK_BYTES])
        hasty()
        reception.settle(staging.finish(), kind)


def _acknowledge() -> None:
    # Not `write`: when no write gets through any more, this one still has to.
    os.writev(sys.stdout.fileno(), [f"{ACKNOWLEDGED}\n".encode()])


def main() -> int:
    """Take one push in; the exit code is 1 if that fails."""
    directory, document, flaw = Path(sys.argv[1]), Path(sys.argv[2]), "".join(sys.argv[3:])
    kind: Kind = "snapshot" if document.name.startswith("snapshot") else "changes"
    try:
        take_in(directory, document.read_bytes(), kind, flaw, _acknowledge)
    except (DoorctlError, OSError) as error:
        os.writev(sys.stderr.fileno(), [f"{error}\n".encode()])
        return 1
    return 0
