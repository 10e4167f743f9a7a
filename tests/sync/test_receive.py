import errno
import io
import os
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest

from doorctl.access.patron import CacheStamp, SealedRow
from doorctl.config.tables import Push as Limits
from doorctl.core.errors import (
    PushConflictError,
    PushGuardedError,
    PushInvalidError,
    PushOutOfOrderError,
    StoreError,
)
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.push_journal import PushJournal
from doorctl.sync.guard import Changes, Guard, unguarded
from doorctl.sync.receive import Push, Received, Staging, judge
from doorctl.sync.wire import Line, Removal
from tests.fakes.memory_store import MemoryPatrons
from tests.sync.pushes import NOON, SEAL, TERMS, Document, receive, row, stage


def refusing(_changes: Changes) -> None:
    """Believe nothing."""
    raise PushGuardedError("too many")


class Branch:
    """A cache in memory that takes pushes."""

    def __init__(self) -> None:
        self.patrons = MemoryPatrons()

    def takes(
        self,
        document: Document,
        guard: Guard = unguarded,
        minimum_age: int = 0,
        **more: Any,
    ) -> Received:
        """Stage and apply a push."""
        terms = replace(TERMS, guard=guard, minimum_age=minimum_age)
        return receive(stage(document.data()), self.patrons, terms, **more)

    def holds(self, *numbers: int) -> bool:
        """Tell whether exactly these of the cards 0-9 are held."""
        return [n for n in range(10) if self.patrons.find(row(n).row_key)] == list(numbers)


@pytest.fixture
def branch() -> Branch:
    """A branch that holds push 5 with cards 1, 2 and 3."""
    branch = Branch()
    branch.takes(Document([row(1), row(2), row(3)], epoch=5))
    return branch


def test_a_snapshot_replaces_everything(branch: Branch) -> None:
    """Its number may skip some: between them others were refused or lost."""
    document = Document([row(2), row(4)], epoch=9, previous_epoch=5, minimum_age=16)

    assert branch.takes(document) == Received(epoch=9, applied=2, unchanged=False)
    assert branch.holds(2, 4)
    assert branch.patrons.stamp() == CacheStamp(9, NOON, 16, 2)
    assert branch.patrons.held() == Push(9, stage(document.data()).manifest.sha256)


def test_a_number_may_be_far_above_ours_and_no_farther(branch: Branch) -> None:
    """One that no other can follow is taken by nobody; a sender that has counted long is."""
    for epoch in (5 + 2**32 + 1, 2**63 - 1):
        with pytest.raises(
            PushOutOfOrderError,
            match=r"more than 4294967296 above push 5; check the sender's numbers$",
        ):
            branch.takes(Document([row(4)], epoch=epoch))
    assert branch.holds(1, 2, 3)
    assert branch.takes(Document([row(4)], epoch=5 + 2**32)).epoch == 5 + 2**32


def test_a_lost_registers_number_counts_for_the_step(branch: Branch) -> None:
    """What the audit log has seen is what was taken."""
    far = 7 + 2**32
    with pytest.raises(PushOutOfOrderError, match="above push 6"):
        branch.takes(Document([row(4)], epoch=far), floor=6)
    assert branch.takes(Document([row(4)], epoch=far), floor=7).epoch == far


@pytest.mark.parametrize(("age", "taken"), [(13, False), (14, True), (15, True)])
def test_rows_for_a_lower_age_are_refused(branch: Branch, age: int, taken: bool) -> None:
    """They would let nobody in; a higher age is the guard's own business, and a name overrules."""
    document = Document([row(1), row(2), row(3)], epoch=6, minimum_age=age)
    if not taken:
        with pytest.raises(
            PushGuardedError,
            match=r"a minimum age of 13, .* asks for 14, .* where they are sealed$",
        ):
            branch.takes(document, minimum_age=14)
        document = replace(document, approved_by="M. Bech")
    assert branch.takes(document, minimum_age=14).epoch == 6


def test_a_branch_without_a_limit_takes_the_first_push_for_any_age() -> None:
    """It has lost no register and asks for no age."""
    staged = stage(Document([row(1)], epoch=1, minimum_age=0).data())

    assert judge(staged.manifest, Push(0), TERMS) is None
    assert receive(staged, MemoryPatrons()) == Received(1, 1, unchanged=False)


def test_whom_a_push_lets_in_is_told(branch: Branch) -> None:
    """It is applied, and what the guard says of it is in the answer; an approver knows it."""
    document = Document([row(4)], epoch=6)
    assert branch.takes(document, guard=lambda _changes: {"wide": "why"}).warnings == {
        "wide": "why"
    }
    approved = Document([row(4)], epoch=7, approved_by="M. Bech")
    assert branch.takes(approved, guard=lambda _changes: {"wide": "why"}).warnings == {}


def test_a_push_is_judged_by_its_first_line() -> None:
    """Before a row has come: held already, to be refused, or to be read on."""
    manifest = stage(Document([row(1)], epoch=6).data()).manifest

    held = Push(6, manifest.sha256)
    assert judge(manifest, held, TERMS) == Received(6, 1, unchanged=True)
    assert judge(manifest, Push(5), TERMS) is None
    with pytest.raises(PushOutOfOrderError, match="older than push 7"):
        judge(manifest, Push(7), TERMS)
    with pytest.raises(PushConflictError, match="give the next one a number above 8"):
        judge(manifest, Push(6), TERMS, floor=8)


def test_changes_replace_and_remove_patrons(branch: Branch) -> None:
    """Rows and removals may stand in any order; whoever is not named stays."""
    lines: list[Line] = [Removal("1"), row(4), Removal("nobody"), row(2, resident=False)]

    received = branch.takes(Document(lines, "changes", epoch=6, previous_epoch=5))

    assert received == Received(epoch=6, applied=4, unchanged=False)
    assert branch.holds(2, 3, 4)
    changed = branch.patrons.find(row(2).row_key)
    assert changed is not None
    assert not changed.resident


@pytest.mark.parametrize("kind", ["snapshot", "changes"])
def test_the_same_push_again_is_answered_and_not_applied(branch: Branch, kind: str) -> None:
    """A sender whose answer got lost repeats it; nothing is asked, written or stamped anew."""
    document = Document([row(4)], epoch=6, previous_epoch=5)
    if kind == "changes":
        document = Document([Removal("1")], "changes", epoch=6, previous_epoch=5)
    first = branch.takes(document)
    branch.patrons.apply = None  # type: ignore[assignment, method-assign]

    again = branch.takes(document, guard=refusing)

    assert again == Received(first.epoch, first.applied, unchanged=True)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (Document([row(1), row(2), row(3)], epoch=4), "push 4 is older than push 5"),
        (Document([row(4)], epoch=1), "push 1 is older than push 5"),
        (Document([row(4)], "changes", epoch=7, previous_epoch=6), "follow on push 6, but push 5"),
        (Document([row(4)], "changes", epoch=6, previous_epoch=4), "follow on push 4, but push 5"),
    ],
)
def test_a_push_out_of_order_changes_nothing(
    branch: Branch, document: Document, problem: str
) -> None:
    """What is held only ever moves on, whoever delays or repeats a push."""
    with pytest.raises(PushOutOfOrderError, match=problem) as caught:
        branch.takes(document)

    assert not isinstance(caught.value, PushConflictError)
    assert branch.holds(1, 2, 3)
    assert branch.patrons.held().epoch == 5


@pytest.mark.parametrize(
    "document",
    [
        Document([row(4)], epoch=5),
        Document([row(2), row(1), row(3)], epoch=5),
        Document([row(4)], "changes", epoch=5, previous_epoch=4),
        Document([row(4)], "changes", epoch=5, previous_epoch=0, approved_by="M. Sørensen"),
    ],
)
def test_a_number_that_is_held_with_other_rows_is_a_conflict(
    branch: Branch, document: Document
) -> None:
    """Two pushes of one number are the sender's fault, or not the sender's: neither is applied."""
    with pytest.raises(PushConflictError, match="push 5 is held with other rows"):
        branch.takes(document)

    assert branch.holds(1, 2, 3)
    assert branch.patrons.held().epoch == 5


@pytest.mark.parametrize(
    ("document", "taken"),
    [
        (Document([row(4)], epoch=8), False),
        (Document([row(4)], epoch=9), False),
        (Document([row(4)], "changes", epoch=10, previous_epoch=5), False),
        (Document([row(4)], epoch=10), True),
    ],
)
def test_a_register_that_was_lost_begins_above_what_was_taken(
    branch: Branch, document: Document, *, taken: bool
) -> None:
    """By what is kept elsewhere: an old push is not taken again, nor changes of what is gone."""
    if taken:
        assert branch.takes(document, floor=9).epoch == 10
        return
    sentence = "^the register of push 9 is lost; send a snapshot with a number above 9$"
    with pytest.raises(PushOutOfOrderError, match=sentence):
        branch.takes(document, floor=9)

    assert branch.holds(1, 2, 3)


def test_a_register_that_holds_the_last_push_goes_on(branch: Branch) -> None:
    """What is kept elsewhere says no more than it holds itself."""
    assert branch.takes(
        Document([row(4)], "changes", epoch=6, previous_epoch=5), floor=5
    ) == Received(6, 1, unchanged=False)


def test_the_first_push_may_have_any_number() -> None:
    """A new branch holds push 0; changes follow on it only if they say so."""
    branch = Branch()
    with pytest.raises(
        PushOutOfOrderError, match=r"push 0 is held; send the changes since then, or a snapshot$"
    ):
        branch.takes(Document([row(1)], "changes", epoch=42, previous_epoch=41))

    assert branch.takes(Document([row(1)], "changes", epoch=42)).epoch == 42


@pytest.mark.parametrize("change", [{"key_id": "feedf00d"}, {"memory_kib": 65}, {"iterations": 2}])
def test_rows_of_another_seal_are_refused(branch: Branch, change: dict[str, str | int]) -> None:
    """They would make every card unknown."""
    seal = msgspec.structs.replace(SEAL, **change)

    with pytest.raises(
        PushInvalidError,
        match=r"^push: line 1: seal: another .* branch's; seal the rows for this branch$",
    ):
        branch.takes(Document([row(1)], epoch=6, seal=seal))

    assert branch.holds(1, 2, 3)


@pytest.mark.parametrize("kind", ["snapshot", "changes"])
def test_the_guard_is_asked_unless_somebody_has_approved(branch: Branch, kind: str) -> None:
    """What is refused changes nothing; the same rows with a name are applied."""
    document = Document([row(4)], epoch=6, previous_epoch=5)
    approved = Document([row(4)], epoch=6, previous_epoch=5, approved_by="M. Sørensen")
    if kind == "changes":
        document = Document([Removal("1"), row(4)], "changes", epoch=6, previous_epoch=5)
        approved = Document(
            document.lines, "changes", epoch=6, previous_epoch=5, approved_by="M. Sørensen"
        )
    with pytest.raises(PushGuardedError, match="too many"):
        branch.takes(document, guard=refusing)
    assert branch.holds(1, 2, 3)
    assert branch.patrons.held().epoch == 5

    assert branch.takes(approved, guard=refusing).epoch == 6
    assert branch.holds(4) if kind == "snapshot" else branch.holds(2, 3, 4)


def test_what_is_rehearsed_is_answered_and_undone(branch: Branch, tmp_path: Path) -> None:
    """The guard is asked, and nobody hears that something is about to be committed."""
    document = Document([row(4)], epoch=6, previous_epoch=5)
    journal = PushJournal(tmp_path / "journal.json")

    answer = branch.takes(document, rehearsed=True, journal=journal)

    assert answer == Received(6, 1, unchanged=False)
    assert answer.unchanged is False
    assert (journal.path.exists(), branch.patrons.held().epoch) == (False, 5)
    assert branch.holds(1, 2, 3)
    with pytest.raises(PushGuardedError, match="too many"):
        branch.takes(document, guard=refusing, rehearsed=True)


class FailingDisk(io.BytesIO):
    """A spool that can't be read beyond a line.

    `content`: what was staged; `after`: lines that can be read, over all readings.
    """

    def __init__(self, content: bytes, after: int) -> None:
        super().__init__(content)
        self._left = after

    def __next__(self) -> bytes:
        """Return a line while there are any left."""
        if self._left == 0:
            raise OSError(errno.EIO, "Input/output error")
        self._left -= 1
        return super().__next__()


class LyingDisk(FailingDisk):
    """A spool that gives another line back."""

    def __next__(self) -> bytes:
        """Change what is read of one line."""
        self._left -= 1
        line = io.BytesIO.__next__(self)
        if self._left >= 0:
            return line
        return line.replace(b"true", b"false").replace(b'"remove":"0"', b'"remove":"1"')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an empty cache stands."""
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[PatronCacheWriter]:
    """Its writer."""
    with closing(PatronCacheWriter(path, SEAL)) as writer:
        yield writer


def dump(path: Path) -> str:
    """Return everything that a database holds, as text."""
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


@pytest.mark.parametrize("disk", [FailingDisk, LyingDisk])
@pytest.mark.parametrize("kind", ["snapshot", "changes"])
def test_a_disk_that_fails_at_any_line_changes_nothing(
    path: Path, writer: PatronCacheWriter, kind: str, disk: Callable[[bytes, int], io.BytesIO]
) -> None:
    """Rows already written are taken back, in the first reading and in that for removals."""
    receive(stage(Document([row(n) for n in range(9)], epoch=1).data()), writer)
    before = dump(path)
    lines: list[Line] = [row(n, resident=False) for n in range(3, 12)]
    document = Document(lines, epoch=2)
    if kind == "changes":
        lines.insert(5, Removal("0"))
        document = Document(lines, "changes", epoch=2, previous_epoch=1)
    staged = stage(document.data())
    content = staged.spool.read() if staged.spool.seek(0) == 0 else b""
    readings = 1 if kind == "snapshot" else 2

    for line in range(len(lines) * readings):
        with pytest.raises(StoreError):
            receive(replace(staged, spool=disk(content, line)), writer)
        assert dump(path) == before

    receive(staged, writer)
    assert writer.held() == Push(2, staged.manifest.sha256)


@pytest.mark.parametrize("kind", ["snapshot", "changes"])
def test_a_byte_that_the_disk_changed_is_not_applied(
    path: Path, writer: PatronCacheWriter, tmp_path: Path, kind: str
) -> None:
    """Wherever it stands, and also where what it makes is a good row of somebody else."""
    receive(stage(Document([row(n) for n in range(3)], epoch=1).data()), writer)
    before = dump(path)
    document = Document([row(2, blocks="U"), row(3)], epoch=2)
    if kind == "changes":
        document = Document([*document.lines, Removal("0")], "changes", 2, previous_epoch=1)
    with (tmp_path / "spool").open("w+b") as spool:
        staging = Staging(TERMS, lambda: spool)
        staging.feed(document.data())
        staged = staging.finish()
        spool.seek(0)
        content = spool.read()
        for place, byte in enumerate(content):
            _put_byte(spool, place, byte ^ 1 << place % 8)
            with pytest.raises(StoreError, match="does not give back the push"):
                receive(staged, writer)
            _put_byte(spool, place, byte)
        assert dump(path) == before
        receive(staged, writer)

    assert writer.held() == Push(2, staged.manifest.sha256)


def _put_byte(spool: BinaryIO, place: int, byte: int) -> None:
    spool.seek(place)
    spool.write(bytes([byte]))
    spool.flush()


@pytest.mark.parametrize(("lines", "readings"), [([row(4)], 1), ([row(4), Removal("1")], 2)])
def test_the_spool_is_read_again_for_removals_only(
    branch: Branch, lines: list[Line], readings: int
) -> None:
    """A disk that fails after the first reading spoils no push without any."""
    staged = stage(Document(lines, "changes", epoch=6, previous_epoch=5).data())
    content = staged.spool.read() if staged.spool.seek(0) == 0 else b""
    # The end of the file is asked for like a line.
    failing = replace(staged, spool=FailingDisk(content, len(lines) + 1))

    if readings == 1:
        receive(failing, branch.patrons)
    else:
        with pytest.raises(StoreError):
            receive(failing, branch.patrons)

    assert branch.holds(1, 2, 3, 4) == (readings == 1)


def test_a_snapshot_with_the_rows_of_changes_of_its_number_is_held_already() -> None:
    """Changes that bring a whole register have removed nobody: it is the same register."""
    rows: list[Line] = [row(1), row(2, resident=False)]
    by_changes, by_snapshot = Branch(), Branch()
    for each in (by_changes, by_snapshot):
        each.takes(Document([row(2)], epoch=5))
    by_changes.takes(Document(rows, "changes", epoch=6, previous_epoch=5))
    by_snapshot.takes(Document(rows, epoch=6, previous_epoch=5))

    assert by_changes.takes(Document(rows, epoch=6)).unchanged
    assert by_changes.holds(1, 2)
    for number in (1, 2):
        key = row(number).row_key
        assert by_changes.patrons.find(key) == by_snapshot.patrons.find(key)


def test_a_town_is_taken_in_with_flat_memory(
    path: Path, writer: PatronCacheWriter, tmp_path: Path
) -> None:
    """Rows of 5 MB are staged and applied in 4; ROWS=200000 asks for 50 MB, in 15 seconds."""
    count = int(os.environ.get("ROWS", "20000"))

    def rows() -> Iterator[SealedRow]:
        yield from (row(number) for number in range(count))

    pushed = tmp_path / "push"
    with pushed.open("wb") as target:
        Document(rows()).write(target)
    tracemalloc.start()
    try:
        with pushed.open("rb") as source, (tmp_path / "spool").open("w+b") as spool:
            staging = Staging(replace(TERMS, limits=Limits()), lambda: spool)
            while chunk := source.read(65_536):
                staging.feed(chunk)
            received = receive(staging.finish(), writer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert received.applied == count
    assert pushed.stat().st_size > 240 * count
    assert peak < 4_000_000
    with closing(PatronCache(path, SEAL)) as cache:
        assert cache.stamp().patrons == count
