"""A branch of which a bit is flipped, and everybody who then comes to its door."""

from __future__ import annotations

import queue
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from doorctl.access.calendar import DaySource, Mode, ModeSpan, StoredDay
from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.core.masked import Pin
from doorctl.demo.door import Stage, shipped
from doorctl.doord.self_test import rules
from doorctl.doord.stores import DoorStores
from doorctl.privacy.subject import Subject
from doorctl.services.app import App, access_policy
from doorctl.services.branch import BranchThread
from doorctl.services.hours import calendar_of
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.patrons import migrations
from doorctl.store.patrons_writer import PatronCacheWriter, open_or_create_patrons
from doorctl.store.residue import set_aside_if_damaged
from doorctl.store.subject import StoredErasures, restrict
from doorctl.store.visits import VisitStore
from doorctl.sync.receive import unguarded
from tests.doord.fake_door import FakeDoor
from tests.fakes.cards import plastic, sealed
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
        self._start_web()
        log = FakeEventLog()
        with ExitStack() as stack:
            stores = DoorStores(self.config, queue.SimpleQueue(), log, stack)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
            return stores.worker.call(partial(self._visits, stores, log), timeout_s=LIMIT_S)

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

    def _start_web(self) -> None:
        path = self.config.storage.patrons_db
        set_aside_if_damaged(path, START, migrations)
        erasures = StoredErasures(self.config.storage.branch_db)
        policy = access_policy(self.config)
        with closing(erasures):
            open_or_create_patrons(path, self.sealer.seal, erasures, policy).close()
        with closing(BranchThread(App(self.config, FakeClock()))) as desk, suppress(StoreError):
            desk.open()

    def _visits(self, stores: DoorStores, log: FakeEventLog) -> list[str]:
        calendar = partial(calendar_of, self.config.opening)
        door = FlippedDoor(
            rules=rules(self.config),
            log=log,
            patrons=stores.patrons,  # type: ignore[arg-type]
            visits=stores.visits,  # type: ignore[arg-type]
            branch=stores.branch,  # type: ignore[arg-type]
            sealer=stores.sealer,
            calendar_of=calendar,
        )
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
        # The second one leaves pages that are free again.
        for pushed in (rows + more, rows + more[: RESIDENTS // 2]):
            patrons.apply(
                pushed,
                full=True,
                applied_at=START,
                minimum_age=self.config.policy.minimum_age,
                guard=unguarded,
            )
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
