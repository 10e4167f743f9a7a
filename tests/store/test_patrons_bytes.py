"""No byte of a removed patron stays in the register's files, and the file is rewritten seldom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.core.errors import (
    RowsClashError,
    StoreError,
)
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey, Pin
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.sealer import ArgonSealer
from doorctl.sync.receive import Push
from tests.store.samples import (
    DAY,
    NOON,
    SEAL,
    UNTIL,
    Cache,
    bare,
    check_of,
    files_of,
    key_of,
    push,
    reading,
    rows_of,
    sealed,
)


@pytest.fixture
def path(cache: Cache) -> Path:
    """Where the empty cache stands."""
    return cache.writer.path


def test_nothing_of_a_removed_patron_is_in_any_file(cache: Cache) -> None:
    """While the writer lives on: neither the WAL nor a page's unused part keeps their number.

    Of 180 days like these, 61 left one behind where only the WAL was cut: the day's look, which
    comes every ten minutes, rewrites the file. No push of changes waits for that.

    Bug (outside look): the number of a patron whom a push removed stayed in `patrons.db-wal`
    while web ran, and in pages' unused parts.
    """
    chance = Random(1)  # noqa: S311 - no secret
    gone: set[str] = set()
    for day in range(30):
        held = {f"number-{day}-{one}-{'9' * chance.randrange(9)}e" for one in range(40)}
        rows = [SealedRow(chance.randbytes(16), Patron(one, pin_check=bytes(32))) for one in held]
        leaving = set(chance.sample(sorted(held), 20))
        cache.push(*rows)
        assert cache.push(removals=sorted(leaving)).removed == 20
        gone |= leaving
        cache.writer.forget(NOON + day * DAY)
        files = cache.bytes()
        assert not [one for one in gone if one.encode() in files]


def test_changes_leave_the_rewriting_of_the_file_to_a_look_a_day(cache: Cache) -> None:
    """It takes as long as all rows take; a snapshot, which takes as long, does it by itself.

    So does the first look of a process: what the one before it removed is known to no other.

    Bug (a second reader): a restart before the day's look forgot that until the next removal.
    """
    calls: list[bool] = []

    class Counting(PatronCacheWriter):
        """Counts how often it is done."""

        def compact(self) -> tuple[int, int, int]:
            """Count it, then do it."""
            calls.append(True)
            return super().compact()

    cache.push(*[sealed(number, f"{number}") for number in range(9)], full=True)
    cache.writer.close()
    with closing(Counting(cache.path, SEAL)) as cache.writer:
        cache.writer.forget(NOON)
        assert calls.pop()
        cache.push(removals=["1"])
        cache.writer.forget(NOON)
        assert calls == []
        cache.writer.forget(NOON + DAY)
        assert len(calls) == 1
        cache.push(removals=["2"])
        cache.writer.forget(NOON + 2 * DAY - timedelta(seconds=1))
        assert len(calls) == 1
        cache.writer.forget(NOON + 2 * DAY)
        assert len(calls) == 2
        cache.push(removals=["3"])
        cache.push(*[sealed(number, f"{number}") for number in range(4, 9)], full=True)
        cache.writer.forget(NOON + 4 * DAY)
        assert len(calls) == 3


def test_a_push_stands_that_nothing_could_be_cleaned_up_after(cache: Cache, path: Path) -> None:
    """A reader in the middle of its question keeps the file from being cut, and no patron out."""
    cache.push(*rows_of((1, "a"), (2, "b")))
    with reading(path, "patrons"):
        applied = cache.push(sealed(2, "b"), full=True)
    assert applied.removed == 1
    assert cache.find(2) is not None


def test_a_push_stands_whose_clean_up_failed(cache: Cache, path: Path) -> None:
    """It is durable by then, and the sender is not told that nothing was changed."""
    cache.writer.close()
    with closing(CleansNothingUp(path, SEAL)) as cache.writer:
        cache.push(*rows_of((1, "a"), (2, "b")))
        assert cache.push(sealed(2, "b"), full=True).removed == 1
    assert cache.known((1, 2)) == {2: "b"}


def test_no_number_and_no_pin_is_in_any_file(tmp_path: Path) -> None:
    """What lies on the card after a push holds no CPR, card number or PIN, in text or bytes."""
    path = tmp_path / "patrons.db"
    sealer = ArgonSealer(InstallationKey(bytes(range(32))), memory_kib=8, iterations=1)
    create_patrons(path, sealer.seal)
    numbers = [
        *[(IdentifierKind.CPR, f"01017{number:05}") for number in range(100)],
        # Not 3000000001, whose bytes are a checksum's last and a page's number in each 256th log.
        *[(IdentifierKind.CARD, f"31415{number:05}") for number in range(100)],
    ]
    pin = Pin("4711")

    def rows() -> Iterator[SealedRow]:
        for index, (kind, number) in enumerate(numbers):
            stretched = sealer.stretch(Identifier(kind, number))
            check = pin_check(stretched, pin)
            yield SealedRow(row_key(stretched), Patron(f"ref-{index}", pin_check=check))

    with closing(PatronCacheWriter(path, sealer.seal)) as writer:
        push(writer, rows=rows())
        files = files_of(tmp_path)

    assert {"patrons.db", "patrons.db-wal", "patrons.db-shm"} <= files.keys()
    everything = b"".join(files.values())
    assert b"ref-199" in everything
    assert pin.reveal().encode() not in everything
    for _, number in numbers:
        assert number.encode() not in everything
        assert bytes.fromhex(number) not in everything


def test_no_byte_of_a_forgotten_register_is_left(cache: Cache) -> None:
    """Row keys and references are gone from every file, though the writer has it open."""
    cache.push(*[sealed(number, f"reference-{number}") for number in range(300)])
    assert key_of(1) in cache.bytes()

    assert cache.writer.expire(NOON + DAY) == 300

    left = cache.bytes()
    assert [number for number in range(300) if key_of(number) in left] == []
    assert b"reference-" not in left


def test_a_register_of_the_highest_number_can_be_forgotten_and_renumbered(cache: Cache) -> None:
    """Its number stays then, for there is none above it; a lower one lets a snapshot follow."""
    all_of, writer = partial(cache.push, sealed(1, "1"), full=True), cache.writer
    all_of(push=Push(2**63 - 1, "digest"))
    with pytest.raises(RowsClashError, match=r"no number follows.* renumber NUMBER$"):
        all_of()
    assert writer.expire(NOON + DAY) == 1
    assert writer.held() == Push(2**63 - 1)

    writer.renumber(41)
    assert writer.held() == Push(41)
    assert all_of().epoch == 42
    writer.renumber(50)
    assert writer.held() == Push(42)


def test_what_was_kept_outlives_the_process(cache: Cache, path: Path) -> None:
    """It is on the disk when the call returns, and another connection reads it."""
    cache.push(bare(1, "a"))
    before = cache.lookup.version()
    for row in rows_of((1, "a"), (2, "b")):
        cache.writer.keep(row, row_until=UNTIL, pin_until=UNTIL)
    assert cache.lookup.version() != before
    assert cache.find(1) == replace(sealed(1, "a").patron, pin_until=UNTIL)
    cache.writer.close()

    with closing(PatronCache(path, SEAL)) as door:
        asked = replace(sealed(2, "b").patron, pin_until=UNTIL, pushed=False)
        assert door.find(key_of(2)) == asked


def test_no_byte_of_what_was_kept_stays_after_its_patron(cache: Cache) -> None:
    """A learnt check and an asked row are gone from every file, in the middle of the tables too.

    That a push shut a card out is kept for a week, by its key alone, and then gone as well.
    """
    cache.push(*[bare(number, f"pushed-{number}") for number in range(500)])
    for number in range(500):
        for row in rows_of((number, "x"), (1000 + number, f"asked-{number}")):
            cache.writer.keep(row, row_until=UNTIL, pin_until=UNTIL)
    held = cache.bytes()
    for trace in (key_of(250), check_of(250), b"asked-250"):
        assert trace in held

    cache.push(removals=["pushed-250", "asked-250"])
    left = cache.bytes()
    for trace in (key_of(1250), check_of(250), check_of(1250), b"asked-250", b"pushed-250"):
        assert trace not in left
    assert check_of(251) in left
    assert b"asked-251" in left

    cache.writer.forget(NOON + 8 * DAY)
    cache.writer.close()
    assert key_of(250) not in cache.bytes()


def test_after_a_snapshot_of_pushed_pins_nothing_kept_is_left(cache: Cache) -> None:
    """Both tables are empty: what the register says takes the place of all that was asked."""
    cache.push(bare(1, "a"), bare(2, "b"))
    for number in range(1, 5):
        cache.writer.keep(sealed(number, f"r{number}"), row_until=UNTIL, pin_until=UNTIL)
    cache.push(*rows_of((1, "a"), (3, "c")), full=True)

    for table in ("learnt", "asked"):
        assert cache.writer.database.execute(f"SELECT * FROM {table}").fetchall() == []  # noqa: S608 - ours


class CleansNothingUp(PatronCacheWriter):
    """A register on a disk that fails after each change."""

    def compact(self) -> tuple[int, int, int]:
        """Fail as where the disk is full."""
        raise StoreError("there is no room")


def test_what_a_reader_holds_up_is_rewritten_later(cache: Cache, path: Path) -> None:
    """A reader in the middle of its question leaves old pages in the WAL.

    Bug (a second reader): the next look, an hour or a day later, took it for done.
    """
    cache.push(*rows_of((1, "number-1-e"), (2, "b")))
    with reading(path, "patrons"):
        cache.push(removals=["number-1-e"])
        with suppress(StoreError):
            cache.writer.forget(NOON)
    cache.writer.forget(NOON + DAY)

    assert b"number-1-e" not in cache.bytes()
