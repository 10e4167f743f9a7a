"""``python -m tests.bitflip --n 10000``: a door whose databases have one wrong bit each time.

With ``--files 120`` whole days are played, on files with 1 to 64 wrong bits: restart, swipes of
those who may come in, a full push, swipes.

Bug (`tests.bitflip`): one wrong bit in the write-ahead log of `branch.db` took back a ban that was
written before a power cut.
"""

from __future__ import annotations

import queue
import secrets
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import click

from doorctl.access.calendar import DaySource, Mode, ModeSpan, StoredDay
from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.config import Config
from doorctl.config.shipped import shipped
from doorctl.core.errors import StoreError
from doorctl.core.masked import Pin
from doorctl.demo.door import Stage
from doorctl.doord.self_test import rules
from doorctl.doord.stores import DoorStores
from doorctl.lookup.app import App
from doorctl.lookup.calendar import calendar_of
from doorctl.privacy.subject import Subject
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.damage.mending import mended
from doorctl.store.objections import restrict
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import (
    PatronCacheWriter,
    applied_anew,
    open_or_renew_patrons,
)
from doorctl.store.tombstones import StoredErasures
from doorctl.store.visits import VisitStore
from doorctl.sync.guard import unguarded
from doorctl.sync.receive import Push
from doorctl.web.branch_thread import BranchThread
from doorctl.web.inspection import Inspection
from tests.doord.fake_door import FakeDoor
from tests.fakes.cards import plastic, replace_rows, sealed
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.web.branch import Branch

PIN, OTHER_PIN = "4711", "4712"
DAY = timedelta(days=1)
TODAY = START.date()
ENTITLED, RESIDENTS = "3000000000", 400
LONG = frozenset(f"a long tag that fills pages {number}" for number in range(300))
LIMIT_S = 10.0

PEOPLE: dict[str, Patron] = {
    ENTITLED: Patron("1", resident=True),
    "3000000001": Patron("2"),
    "3000000002": Patron("3", resident=True, blocks=frozenset("O")),
    "3000000003": Patron("4", resident=True, enter_from=TODAY + DAY),
    "3000000004": Patron("5", resident=True, valid_until=TODAY - DAY),
    "3000000005": Patron("6", resident=True, hold_from=TODAY - DAY, hold_until=TODAY + DAY),
    "3000000006": Patron("7", resident=True, restricted=True),
    "3000000007": Patron("8", resident=True, active=False),
    "3000000008": Patron("9", resident=True),
    "3000000009": Patron("10", resident=True),
    "3000000010": Patron("11", resident=True),
    "3000000011": Patron("12", tags=LONG),
}
COMING = [ENTITLED, *(str(3100000000 + number) for number in range(0, RESIDENTS // 2, 12))]
"""Entitled patrons from all over the register, who come in on whole files."""
BANNED_BY_CARD, BANNED_BY_NUMBER, RESTRICTED = "3000000008", "10", "11"
PASS_OVER, PASS_REVOKED, NOBODY = "3000009001", "3000009002", "3000009999"


class FlippedDoor(FakeDoor):
    """The real controller and ledger over the real stores, on the stores' own thread."""

    config: Config

    def push(self, register: dict[str, Patron]) -> None:
        """Leave the register as it is."""


@dataclass
class House:
    """The three databases of one branch and their contents as they are before each flip.

    `directory`: an empty one, best in memory.
    """

    directory: Path
    states: tuple[dict[str, bytes], ...] = ()
    slowest_s: float = 0.0

    def __post_init__(self) -> None:
        branch = Branch(self.directory)
        self.branch = branch
        self.config = branch.config
        self.sealer = branch.sealer
        with ExitStack() as stack:
            self._fill(stack)
            # As a power cut leaves them: what was committed last may stand in the logs alone.
            cut_off = self._files()
        self.states = (self._files(), cut_off)

    def restored(self, files: dict[str, bytes]) -> None:
        """Put files in the place of those of an earlier trial."""
        for path in self.directory.glob("*.db*"):
            path.unlink()
        for name, content in files.items():
            (self.directory / name).write_bytes(content)
        (self.directory / "branch.db.lock").touch()

    def key_of(self, number: str) -> bytes:
        """Return the key of a card's row."""
        return row_key(self.sealer.stretch(plastic(number)))

    def wrongly_in(self) -> list[str]:
        """Start door and web on the files as they stand; return who came in and may not.

        Raises:
            Exception: one of them did not start.
        """
        began_s = time.monotonic()
        log = FakeEventLog()
        self._start_web(log)
        with ExitStack() as stack:
            stores = DoorStores(self.config, queue.SimpleQueue(), log, stack)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
            return stores.worker.call(partial(self._visits, stores, log), timeout_s=LIMIT_S)

    def day(self) -> Day:
        """Restart on the files as they stand, let the entitled come, push all rows, let them come.

        Raises:
            Exception: a process did not start.
        """
        told: list[str] = []
        before = self._entitled(told)
        path, held = self.config.storage.patrons_db, Push(0)
        with ExitStack() as stack:
            erasures = stack.enter_context(closing(StoredErasures(self.config.storage.branch_db)))
            with suppress(StoreError):
                writer = stack.enter_context(
                    closing(PatronCacheWriter(path, self.sealer.seal, erasures, self.config.policy))
                )
                held = writer.held()
                look = Inspection(writer, self._lookup(stack), FakeClock(), FakeEventLog())
                look.look()
                if writer.is_incomplete():
                    told.append("asks")
                self._push(writer)
        after = self._entitled([])
        return Day(before, after, frozenset(told), held.epoch)

    def _push(self, writer: PatronCacheWriter) -> None:
        put = partial(
            writer.apply,
            self.rows,
            full=True,
            applied_at=START,
            minimum_age=self.config.policy.minimum_age,
            guard=unguarded,
        )
        applied_anew(writer, put, START, full=True)

    def _lookup(self, stack: ExitStack) -> PatronCache:
        cache = PatronCache(self.config.storage.patrons_db, self.sealer.seal)
        return stack.enter_context(closing(cache))

    def _entitled(self, told: list[str]) -> dict[str, str]:
        """Start both on the files; return what each entitled card got, and note the alarms."""
        log = FakeEventLog()
        log_of_door = FakeEventLog()
        with ExitStack() as stack:
            # The door starts first, as a service does: it must not spoil what web can save.
            stores = DoorStores(self.config, queue.SimpleQueue(), log_of_door, stack)
            self._start_web(log)
            reasons = stores.worker.call(
                partial(self._swipes, stores, log_of_door), timeout_s=LIMIT_S
            )
        told += map(str, [*log.alarms, *log_of_door.alarms])
        return reasons

    def _swipes(self, stores: DoorStores, log: FakeEventLog) -> dict[str, str]:
        door = self._door(stores, log)
        found = {}
        for number in COMING:
            found[number] = door.visit(number, PIN)
            door.wait(60.0)
        return found

    def ready_s(self) -> float:
        """Start the two processes themselves on the files as they stand; return what they took.

        Raises:
            Exception: one of them did not start.
        """
        with Stage(self.directory, shipped("demo.toml"), self.branch.stage.overrides[5:]) as stage:
            began_s = time.monotonic()
            stage.start()
            self.branch.start()
            took_s = time.monotonic() - began_s
            self.branch.end()
        self.slowest_s = max(self.slowest_s, took_s)
        return took_s

    def _files(self) -> dict[str, bytes]:
        return {
            path.name: path.read_bytes()
            for path in self.directory.glob("*.db*")
            if path.name.endswith((".db", ".db-wal")) and path.stat().st_size
        }

    def _start_web(self, log: FakeEventLog) -> None:
        path = self.config.storage.patrons_db
        with suppress(StoreError):
            if mended(self.config.storage.branch_db, START):
                log.emit("alarm", kind="store_damaged", why="branch.db")
        erasures = StoredErasures(self.config.storage.branch_db)
        policy = self.config.policy
        with closing(erasures):
            writer, damage = open_or_renew_patrons(path, START, self.sealer.seal, erasures, policy)
            writer.close()
        if damage is not None:
            log.emit("alarm", kind="store_damaged", why=damage)
        with closing(BranchThread(App(self.config, FakeClock()))) as desk, suppress(StoreError):
            desk.open()

    def _door(self, stores: DoorStores, log: FakeEventLog) -> FlippedDoor:
        return FlippedDoor(
            rules=rules(self.config),
            log=log,
            patrons=stores.patrons,  # type: ignore[arg-type]
            visits=stores.late,  # type: ignore[arg-type]
            branch=stores.branch,  # type: ignore[arg-type]
            sealer=stores.sealer,
            calendar_of=partial(calendar_of, self.config.opening),
        )

    def _visits(self, stores: DoorStores, log: FakeEventLog) -> list[str]:
        door = self._door(stores, log)
        wrongly = ["the door stands free"] if door.relay.energised else []
        for number in [*PEOPLE, PASS_OVER, PASS_REVOKED, NOBODY]:
            pins = (OTHER_PIN, PIN) if number == ENTITLED else (PIN,)
            for pin in pins:
                reason = door.visit(number, pin)
                if reason == "ok" and (number, pin) != (ENTITLED, PIN):
                    wrongly.append(f"{number} {pin}")
                door.wait(60.0)
        door.wait(4 * 3600.0)
        door.work()
        if door.visit(ENTITLED, PIN) == "ok" or door.relay.energised:
            wrongly.append("after hours")
        door.wait(4 * DAY.total_seconds() - 4 * 3600.0)
        door.work()
        if door.visit(ENTITLED, PIN) == "ok":
            wrongly.append("by a register that is too old")
        self.last = door
        return wrongly

    def _fill(self, stack: ExitStack) -> None:
        patrons = PatronCacheWriter(self.config.storage.patrons_db, self.sealer.seal)
        stack.callback(patrons.close)
        rows = [self._row(number, patron) for number, patron in PEOPLE.items()]
        more = [
            self._row(str(3100000000 + number), Patron(str(100 + number), resident=True))
            for number in range(RESIDENTS)
        ]
        self.rows = rows + more[: RESIDENTS // 2]
        # The second one leaves pages that are free again.
        for pushed in (rows + more, self.rows):
            replace_rows(patrons, pushed, START, self.config.policy.minimum_age)
        visits = VisitStore(self.config.storage.visits_db)
        stack.callback(visits.close)
        branch = BranchRecordsWriter(self.config.storage.branch_db)
        stack.callback(branch.close)
        self._fill_branch(branch)

    def _fill_branch(self, branch: BranchRecordsWriter) -> None:
        moment = FakeClock().moment()
        day = (ModeSpan(Mode.SELF_SERVICE, 8 * 60, 20 * 60),)
        days = [StoredDay(START.date() + ahead * DAY, day, "") for ahead in range(60)]
        branch.set_days(DaySource.STAFF, days, moment, known_until=None)
        ban = Ban(0, "slog en rude i stykker", START - DAY, None, "karen", frozenset({"demo"}))
        for number in range(60):
            branch.ban(ban, moment, row_key=None, patron_ref=f"99{number}")
        branch.ban(ban, moment, row_key=self.key_of(BANNED_BY_CARD), patron_ref=None)
        branch.ban(ban, moment, row_key=None, patron_ref=BANNED_BY_NUMBER)
        subject = Subject(frozenset({self.key_of("3000000010")}), RESTRICTED)
        restrict(branch, subject, "karen", moment)
        check = self._check(PASS_OVER)
        over = Pass(
            0, PassKind.CLASS, TODAY, TODAY + DAY, to_minute=12 * 60, pin_check=check, label="4.b"
        )
        branch.issue(over, moment, row_key=self.key_of(PASS_OVER))
        revoked = replace(over, to_minute=24 * 60, pin_check=self._check(PASS_REVOKED))
        issued = branch.issue(revoked, moment, row_key=self.key_of(PASS_REVOKED))
        branch.revoke(issued.number, moment)

    def _row(self, number: str, patron: Patron) -> SealedRow:
        return sealed(self.sealer, plastic(number), patron, PIN)

    def _check(self, number: str) -> bytes:
        return pin_check(self.sealer.stretch(plastic(number)), Pin(PIN))


@dataclass(frozen=True)
class Day:
    """What a day brought the entitled: before and after a full push, by card, and who was told.

    `told` holds the alarms, and "asks" where the sender was called for the whole register.
    """

    before: dict[str, str]
    after: dict[str, str]
    told: frozenset[str]
    held: int = 0

    @property
    def shut(self) -> int:
        """How many were refused before the push."""
        return sum(reason != "ok" for reason in self.before.values())

    @property
    def unmended(self) -> int:
        """How many were refused after it."""
        return sum(reason != "ok" for reason in self.after.values())

    @property
    def trouble(self) -> str:
        """What may not be, empty for nothing."""
        reasons = {reason for reason in self.before.values() if reason != "ok"}
        wrong = reasons & {"unknown_card", "wrong_pin"}
        found = [f"{reason} of an entitled patron" for reason in sorted(wrong)]
        if self.shut and not self.told:
            found.append("nobody was told")
        return ", ".join(found)


# Which bits of a database there are to flip: its pages by kind, and its write-ahead log.

PAGE = 4096
HEADER = 100
KINDS = {2: "index interior", 5: "table interior", 10: "index leaf", 13: "table leaf"}
WAL = "-wal"

Files = Mapping[str, bytes]
"""Bytes by file name."""


@dataclass(frozen=True)
class Flip:
    """One bit of one file."""

    file: str
    kind: str
    byte: int
    bit: int

    def done(self, files: Files) -> dict[str, bytes]:
        """Return the files with it flipped."""
        content = bytearray(files[self.file])
        content[self.byte] ^= 1 << self.bit
        return {**files, self.file: bytes(content)}


def places(files: Files) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return, by file and kind of page, from where to where there are bytes of it."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for name, content in files.items():
        if name.endswith(WAL):
            found[name, "wal"] = [(0, len(content))]
            continue
        free = _freelist(content)
        for page in range(len(content) // PAGE):
            begin = page * PAGE
            kind = _kind(content, page, free)
            if page == 0:
                found[name, "header"], begin = [(0, HEADER)], HEADER
            found.setdefault((name, kind), []).append((begin, (page + 1) * PAGE))
    return found


def drawn(files: Files, chance: Random) -> Flip:
    """Return a flip: each file as likely as another, and of each all kinds of pages."""
    by_place = places(files)
    file = chance.choice(sorted({file for file, _ in by_place}))
    kind = chance.choice(sorted(kind for of, kind in by_place if of == file))
    begin, end = chance.choice(by_place[file, kind])
    return Flip(file, kind, chance.randrange(begin, end), chance.randrange(8))


def _kind(content: bytes, page: int, free: frozenset[int]) -> str:
    if page == 0:
        return "schema"
    if page + 1 in free:
        return "freelist"
    return KINDS.get(content[page * PAGE], "overflow")


def _freelist(content: bytes) -> frozenset[int]:
    free: set[int] = set()
    (trunk,) = struct.unpack_from(">I", content, 32)
    while trunk:
        at = (trunk - 1) * PAGE
        following, leaves = struct.unpack_from(">II", content, at)
        free.update((trunk, *struct.unpack_from(f">{leaves}I", content, at + 8)))
        trunk = following
    return frozenset(free)


SLOWER_S = 10.0
"""Longest that the two starts may take more than on whole files, on a machine that is busy."""

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a hundred commits a trial


@click.command()
@click.option("--n", default=80, show_default=True, help="Flips; in full, 10000.")
@click.option("--processes", default=2, show_default=True, help="So many of them by real ones.")
@click.option("--seed", type=int, help="Of the flips; a fresh one by default.")
@click.option(
    "--files", "days", default=0, help="In place of flips: so many days on damaged files."
)
def bitflip(n: int, processes: int, seed: int | None, days: int) -> None:
    """Flip a bit of a database, start door and web on it, and let everybody come.

    Exit 1 if one of them does not start, or if somebody comes in who may not. Of days: also where
    an entitled patron is taken for a stranger, where nobody is told, or where more than one file in
    twelve shuts everybody out.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    chance = Random(seed)  # noqa: S311 - no secret
    if days:
        sys.exit(_days(days, chance))
    kinds: Counter[str] = Counter()
    wrong = 0
    parent = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent) as root:
        house = House(Path(root))
        house.restored(house.states[0])
        most_s = house.ready_s() + SLOWER_S if processes else 0.0
        for number in range(n):
            files = chance.choice(house.states)
            flip = drawn(files, chance)
            kinds[f"{flip.file} {flip.kind}"] += 1
            trouble = _tried(house, flip.done(files), most_s if number < processes else 0.0)
            if trouble:
                wrong += 1
                click.echo(f"{flip}: {trouble}", err=True)
    for kind, count in sorted(kinds.items()):
        click.echo(f"{count:6} {kind}")
    click.echo(f"slowest start of door and web: {house.slowest_s:.1f} s")
    click.echo(f"{n} flips, {processes} by real processes, {wrong} wrong")
    sys.exit(bool(wrong))


SHUT_AT_MOST = 12
"""One file in so many may shut everybody out."""


def _days(files: int, chance: Random) -> bool:
    """Play so many days, of each database the same number; print a table, return what is wrong."""
    counts: dict[str, Counter[str]] = {}
    parent = IN_MEMORY if IN_MEMORY.is_dir() else None
    wrong = 0
    with tempfile.TemporaryDirectory(dir=parent) as root:
        house = House(Path(root))
        names = sorted(name for name in house.states[0] if not name.endswith(WAL))
        for number in range(files):
            name = names[number % len(names)]
            bits = 2 ** (number // len(names) % 7)
            whole = house.states[0]
            spoilt = bytearray(whole[name])
            for _ in range(bits):
                spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
            house.restored({**whole, name: bytes(spoilt)})
            count = counts.setdefault(name, Counter())
            count["files"] += 1
            try:
                day = house.day()
            except Exception:  # noqa: BLE001 - as below
                wrong += 1
                click.echo(f"{name}, {bits} bits: {traceback.format_exc()}", err=True)
                continue
            everybody = day.shut == len(day.before)
            count["shut out somebody"] += bool(day.shut)
            count["shut out everybody"] += everybody
            count["asked for all rows"] += "asks" in day.told
            count["shut out after a push"] += bool(day.unmended)
            if day.trouble:
                wrong += 1
                click.echo(f"{name}, {bits} bits: {day.trouble}", err=True)
    for name, count in counts.items():
        click.echo(f"{name}: " + ", ".join(f"{count[what]} {what}" for what in COUNTED))
    shut = sum(count["shut out everybody"] for count in counts.values())
    click.echo(f"{files} files, {shut} shut everybody out, {wrong} wrong")
    return bool(wrong) or shut * SHUT_AT_MOST > files


COUNTED = (
    "files",
    "shut out somebody",
    "shut out everybody",
    "asked for all rows",
    "shut out after a push",
)


def _tried(house: House, files: dict[str, bytes], most_s: float) -> str:
    house.restored(files)
    try:
        if not most_s:
            return ", ".join(house.wrongly_in())
        took_s = house.ready_s()
    except Exception:  # noqa: BLE001 - whatever it is, it would have ended the process
        return traceback.format_exc()
    return f"ready after {took_s:.1f} s" if took_s > most_s else ""


if __name__ == "__main__":
    bitflip()
