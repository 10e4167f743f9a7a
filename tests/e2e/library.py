"""A branch with a door, a web process that may ask a library system, and that library system."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any, Generic, TypeVar

from doorctl.access.patron import SealedRow
from doorctl.config.shipped import shipped
from doorctl.demo.door import Line
from tests.e2e.door import Door
from tests.e2e.people import Person
from tests.fakes.cards import sealed
from tests.fakes.waiting import until
from tests.sources import api_server, fbs_server, sip2_server
from tests.sources.fbs_server import ACCOUNT, AGENCY, FbsScript
from tests.sources.folio_server import RESIDENTS, TENANT, FolioScript
from tests.sources.koha_server import KohaScript
from tests.sources.sip2_server import INSTITUTION, Sip2Script
from tests.web.branch import Branch, row
from tests.web.certificates import Authority

PASSWORD = "a-password-of-a-branch"
"""Of every stand-in here; visible ASCII, as a password file has to hold it."""

PATIENT_S = 4.0
"""For answers that come: no test waits so long for one, but a busy machine may need it."""

BRIEF_S = 1.0
"""For answers that don't."""

VIA_WEB_S = 0.5
"""What the door grants the way through the web process besides."""

HELD_S = 20.0

NEW = Person("3000001234", "4711")
KNOWN = Person("3000001250", "6390")
STRANGERS = [Person(f"300000991{last}", "5050") for last in range(9)]

ROW = {"birthday": "1970-01-01", "resident": True}


ApiT = TypeVar("ApiT", KohaScript, FolioScript)
ScriptT = TypeVar("ScriptT", FbsScript, Sip2Script, KohaScript, FolioScript)


@dataclass
class Peer(Generic[ScriptT]):
    """A library system on loopback that a branch asks."""

    settings: tuple[str, ...]
    script: ScriptT
    ended: threading.Event = field(default_factory=threading.Event)

    def know(self, person: Person) -> None:
        """Register somebody."""
        self.script.know(person.number, person.pin)

    def asked(self) -> int:
        """Return how many questions about a PIN arrived."""
        return self.script.asked()

    def hang(self, _writer: object = None) -> None:
        """Take a question and say nothing until the end."""
        self.ended.wait(HELD_S)


Fbs = Peer[FbsScript]


@contextmanager
def fbs(directory: Path, timeout_s: float = PATIENT_S) -> Iterator[Fbs]:
    """Serve FBS until the end of the block."""
    script = FbsScript()
    with fbs_server.serving(script) as url:
        peer = Peer(_settings(directory, "fbs", url, AGENCY, timeout_s), script)
        try:
            yield peer
        finally:
            peer.ended.set()


@contextmanager
def api(directory: Path, kind: str, script: ApiT, *more: str) -> Iterator[Peer[ApiT]]:
    """Serve Koha or FOLIO over TLS."""
    authority = Authority(directory, "lms-ca")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("lms"))
    with api_server.serving(script, context) as url:
        settings: tuple[str, ...] = _settings(directory, kind, url, "", PATIENT_S)
        peer = Peer((*settings, f"lms.ca_file={authority.path}", *more), script)
        try:
            yield peer
        finally:
            peer.ended.set()


def koha(directory: Path) -> AbstractContextManager[Peer[KohaScript]]:
    """Serve Koha."""
    return api(directory, "koha", KohaScript(), 'lms.resident_classes=["VOKSEN"]')


def folio(directory: Path) -> AbstractContextManager[Peer[FolioScript]]:
    """Serve FOLIO."""
    classes = f'lms.resident_classes=["{RESIDENTS}"]'
    return api(directory, "folio", FolioScript(), f"lms.agency={TENANT}", classes)


@contextmanager
def sip2s(directory: Path) -> Iterator[Peer[Sip2Script]]:
    """Serve SIP2 over TLS."""
    authority = Authority(directory, "lms-ca")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("lms"))
    script = Sip2Script()
    with sip2_server.serving(script, context) as port:
        url = f"sip2s://127.0.0.1:{port}"
        settings = _settings(directory, "sip2", url, INSTITUTION, PATIENT_S)
        more = (f"lms.ca_file={authority.path}", 'lms.resident_classes=["VOKSEN"]')
        yield Peer((*settings, *more), script)


class AskingBranch(Branch):
    """A branch with a door whose pins leave a record; neither process has been started.

    `directory`: an empty one, or one with the library system's password in it; `settings`: the
    library system's, and more ``--set`` values.
    """

    def __init__(self, directory: Path, *settings: str, pins: Path) -> None:
        patient = ("keypad.digit_timeout_s=20", "keypad.total_timeout_s=30", "door.release_s=0.5")
        super().__init__(directory, *patient, *settings)
        self.door = Door(directory, shipped("demo.toml"), self.stage.options[2::2], pins=pins)

    @property
    def web_pid(self) -> int:
        """The web process's number."""
        assert self._process is not None
        return self._process.pid

    def load(self, *rows: dict[str, Any]) -> None:
        """Load rows as the whole register; the web process must not run."""
        feed = self.directory.parent / f"{self.directory.name}-feed.ndjson"
        feed.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
        done = self.door.call("patrons", "load", str(feed), "--full", "--approved-by", "test")
        feed.unlink()
        assert done.returncode == 0, done.stderr

    def sealed(self, person: Person, number: int, *, with_pin: bool = True) -> SealedRow:
        """Return somebody's row as the library's server seals it."""
        pin = person.pin if with_pin else None
        return sealed(self.sealer, person.identifier, row(number).patron, pin)

    def snapshot(self, *rows: SealedRow) -> None:
        """Push rows as the whole register, and have them applied."""
        epoch = int(self.held()["epoch"]) + 1
        answer = self.push(self.document(rows, epoch, approved_by="test"))
        assert answer.status_code == 200, answer.text

    def count(self, table: str) -> int:
        """Return how many rows the patron cache has in ``asked``, ``learnt`` or ``patrons``."""
        ((found,),) = self.door.query(f"SELECT count(*) FROM {table}", database="patrons.db")  # noqa: S608 - a test's own
        return int(found)

    def await_kept(self, table: str, count: int = 1) -> None:
        """Wait until the web process has kept what was learnt."""
        until(lambda: self.count(table) == count)

    def refused(self, person: Person, pin: str | None = None) -> tuple[str, float]:
        """Have somebody swipe and type; return the refusal and how many seconds it took."""
        attempt = self.door.swipe(person.swipe)
        began_s = time.monotonic()
        self.door.press(pin or person.pin)
        reason = self.door.wait_for("decision", attempt=attempt)["reason"]
        took_s = time.monotonic() - began_s
        assert reason != "ok"
        return str(reason), took_s

    def begin(self, person: Person) -> int:
        """Have somebody swipe and type, and don't wait for the answer; return the attempt."""
        attempt = self.door.swipe(person.swipe)
        self.door.press(person.pin)
        return attempt

    def alarms(self) -> list[str]:
        """Return the kinds of alarm that the web process raised about the library system."""
        kinds = [str(line["kind"]) for line in self.said("alarm")]
        return [kind for kind in kinds if kind.startswith("library")]

    def said(self, event: str) -> list[Line]:
        """Return all lines of that name that the web process wrote so far."""
        return [line for line in self.lines if line["event"] == event]


Made = Callable[..., AskingBranch]


@contextmanager
def making_branches(directory: Path, pins: Path) -> Iterator[Made]:
    """Give what makes a branch in a directory; both its processes end with the block."""
    with ExitStack() as stack:

        def made(*settings: str) -> AskingBranch:
            branch = AskingBranch(directory, *settings, pins=pins)
            stack.callback(branch.end, signal.SIGKILL)
            stack.enter_context(branch.door)
            return branch

        yield made


def started(branch: AskingBranch, *rows: dict[str, Any]) -> AskingBranch:
    """Load `KNOWN` with the PIN, and rows of others; start both processes."""
    branch.load(KNOWN.feed_row(1), *rows)
    branch.start()
    branch.door.start()
    return branch


def unlearnt(person: Person, number: int, **changed: Any) -> dict[str, Any]:
    """Return somebody's row in a feed that tells no PINs."""
    told = person.feed_row(number) | changed
    del told["pincode"]
    return told


def _settings(
    directory: Path, kind: str, url: str, agency: str, timeout_s: float
) -> tuple[str, ...]:
    password = directory / "lms.password"
    password.write_text(f"{PASSWORD}\n", encoding="ascii")
    password.chmod(0o600)
    return (
        f"lms.kind={kind}",
        f"lms.url={url}",
        *([f"lms.agency={agency}"] if agency else []),
        f"lms.user={ACCOUNT['username']}",
        f"lms.password_file={password}",
        f"lms.timeout_s={timeout_s}",
    )
