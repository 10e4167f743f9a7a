"""From a card and a PIN to yes or no: the ways of other doors, and doorctl's own.

Each of the others is written here, in at most 60 lines, from what doors of its kind publish.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import sqlite3
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from doorctl.ops.clock import utc_now
from doorctl.store.keys import read_key
from doorctl.store.sealer import ITERATIONS, MEMORY_KIB, ArgonSealer
from tests.benchmark.decision import InProcessDoor
from tests.benchmark.register import Card, Register, cards, fill

SEAL = (MEMORY_KIB, ITERATIONS)
SAMPLE = 60
"""Rows hashed for a scan; of a longer one this many are timed and multiplied."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One decision, in nanoseconds: at the swipe, and after the last digit."""

    read_ns: float
    decide_ns: float
    reckoned: bool = False


class Way(ABC):
    """A register of some size as one kind of door has it.

    Args:
        patrons: how many, of whom one, `card`, is played.
        directory: for what is on the disk.
    """

    repeats = 200
    asks_pin = True

    def __init__(self, patrons: int, directory: Path) -> None:
        self.card: Card = next(cards())
        self.patrons = patrons
        self.directory = directory

    def store(self) -> None:  # noqa: B027 - most have nothing there
        """Write what is on the disk, before the door starts; in another process."""

    @abstractmethod
    def load(self) -> None:
        """Make the door ready."""

    @abstractmethod
    def read(self, card: str) -> None:
        """Take a card's number; done at the swipe, while the patron looks for the keys."""

    @abstractmethod
    def decide(self, pin: str) -> bool:
        """Return whether the card that was read and this PIN are let in, at the last digit."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of everything; once."""

    def timed(self) -> Timed:
        """Let the known patron in and return how long it took."""
        start = time.perf_counter_ns()
        self.read(self.card.cpr)
        read = time.perf_counter_ns()
        let_in = self.decide(self.card.pin)
        end = time.perf_counter_ns()
        assert let_in, "the card was not let in"
        return Timed(read - start, end - read)

    def others(self) -> Iterator[str]:
        """Yield the numbers of the patrons but the known one, the same ones each time."""
        chance = random.Random(self.patrons)  # noqa: S311 - the same rows; nothing is secret
        for _ in range(self.patrons - 1):
            yield f"{chance.randrange(10**10):010}"


class Scan(Way):
    """Each row has a hash of its own salt: a card is found by trying one after the other."""

    repeats = 3

    def load(self) -> None:
        """Make the rows; the known patron's is in the middle, where a search ends on the average.

        The others have digests of the right form, as hashing 50 000 would take hours.
        """
        digests = (self.hashed(number) for number in ("0000000000", "1111111111"))
        stranger, another = (each.encode() for each in digests)
        half = self.patrons // 2
        # Each row holds bytes of its own, as it would.
        rows = [bytes(bytearray(stranger if n % 2 else another)) for n in range(self.patrons)]
        rows[half] = self.hashed(self.card.cpr).encode()
        self.rows = [(row, bytes(bytearray(stranger))) for row in rows]
        self.rows[half] = (rows[half], self.hashed(self.card.pin).encode())
        self.found: bytes | None = None

    @abstractmethod
    def hashed(self, secret: str) -> str:
        """Return a salted hash."""

    @abstractmethod
    def verify(self, digest: bytes, secret: str) -> bool:
        """Return whether a secret is the one that was hashed."""

    def read(self, card: str) -> None:
        """Try each row."""
        found = (pin for digest, pin in self.rows if self.verify(digest, card))
        self.found = next(found, None)

    def decide(self, pin: str) -> bool:
        """Compare once more."""
        return self.found is not None and self.verify(self.found, pin)

    def timed(self) -> Timed:
        """Time as all do; of a long scan a sample of the rows is timed and multiplied."""
        half = self.patrons // 2
        if half < SAMPLE:
            return super().timed()
        taken = []
        for digest, _ in self.rows[: SAMPLE // self.repeats]:
            before = time.perf_counter_ns()
            self.verify(digest, self.card.cpr)
            taken.append(time.perf_counter_ns() - before)
        self.found = self.rows[half][1]
        before = time.perf_counter_ns()
        assert self.decide(self.card.pin)
        decided = time.perf_counter_ns() - before
        return Timed(statistics.median(taken) * (half + 1), decided, reckoned=True)


class ScanBcrypt(Scan):
    """bcrypt at its package's own cost of 12; door-pin searches so."""

    def hashed(self, secret: str) -> str:
        """Hash as the package advises."""
        return bcrypt.hashpw(secret.encode(), bcrypt.gensalt()).decode()

    def verify(self, digest: bytes, secret: str) -> bool:
        """Compare as the package advises."""
        return bcrypt.checkpw(secret.encode(), digest)


class ScanArgon(Scan):
    """Argon2id at its package's own cost: 64 MiB, 3 passes, 4 lanes."""

    hasher = PasswordHasher()

    def hashed(self, secret: str) -> str:
        """Hash as the package advises."""
        return self.hasher.hash(secret)

    def verify(self, digest: bytes, secret: str) -> bool:
        """Compare as the package advises."""
        try:
            return self.hasher.verify(digest.decode(), secret)
        except VerifyMismatchError:
            return False


class BcryptByKey(Way):
    """The card's number in clear is the key of a file, beside a bcrypt of the PIN, cost 8.

    SSAuthenticator's cache.
    """

    repeats = 20

    def store(self) -> None:
        """Write the file; the others' digests have the right form."""
        digest = bcrypt.hashpw(self.card.pin.encode(), bcrypt.gensalt(8))
        rows = ((number, digest) for number in (*self.others(), self.card.cpr))
        with closing(sqlite3.connect(self.directory / "cache.db")) as file, file:
            file.execute("CREATE TABLE cache (card TEXT PRIMARY KEY, pin BLOB) WITHOUT ROWID")
            file.executemany("INSERT OR REPLACE INTO cache VALUES (?, ?)", rows)

    def load(self) -> None:
        """Open the file."""
        self.file = sqlite3.connect(self.directory / "cache.db")
        self.found: tuple[bytes] | None = None

    def read(self, card: str) -> None:
        """Ask the file."""
        asked = self.file.execute("SELECT pin FROM cache WHERE card = ?", (card,))
        self.found = asked.fetchone()

    def decide(self, pin: str) -> bool:
        """Compare by bcrypt."""
        return self.found is not None and bcrypt.checkpw(pin.encode(), self.found[0])

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class ShaDict(Way):
    """SHA-256 of the card's number leads to that of card and PIN; latchburg's kind of list."""

    def load(self) -> None:
        """Make the dict."""
        numbers = (*self.others(), self.card.cpr)
        self.rows = {self.digest(number): self.digest(f"{number}0000") for number in numbers}
        self.rows[self.digest(self.card.cpr)] = self.digest(self.card.cpr + self.card.pin)

    def digest(self, text: str) -> bytes:
        """Return its SHA-256."""
        return hashlib.sha256(text.encode()).digest()

    def read(self, card: str) -> None:
        """Look it up."""
        self.number, self.wanted = card, self.rows.get(self.digest(card), b"")

    def decide(self, pin: str) -> bool:
        """Compare one digest more."""
        return hmac.compare_digest(self.digest(self.number + pin), self.wanted)


class HttpQuestion(Way):
    """A server is asked at the swipe for the card and at the last digit for the PIN.

    SSAuthenticator over Koha's interface; SIP2 asks alike.
    """

    def load(self) -> None:
        """Start the server, on this machine: a real one adds its network."""
        self.server = HTTPServer(("127.0.0.1", 0), Library)
        self.process = get_context("fork").Process(target=self.serve, daemon=True)
        self.process.start()

    def serve(self) -> None:
        """Answer, in a process of its own."""
        Library.pins = dict.fromkeys(self.others(), "0000") | {self.card.cpr: self.card.pin}
        self.server.serve_forever()

    def ask(self, **asked: str) -> bool:
        """Return the answer to one request, on a connection of its own."""
        host, port = "127.0.0.1", self.server.server_port
        with closing(HTTPConnection(host, port, timeout=5)) as connection:
            connection.request("POST", "/borrowers/ssstatus", json.dumps(asked))
            return bool(json.loads(connection.getresponse().read())["permission"])

    def read(self, card: str) -> None:
        """Ask for the card."""
        self.number, self.known = card, self.ask(card=card)

    def decide(self, pin: str) -> bool:
        """Ask for the PIN."""
        return self.known and self.ask(card=self.number, pin=pin)

    def close(self) -> None:
        """Stop the server."""
        self.process.kill()
        self.process.join()
        self.server.server_close()


class Library(BaseHTTPRequestHandler):
    """What a library system answers."""

    pins: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        """Say whether a card, or a card and a PIN, are let in."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pin = self.pins.get(asked["card"])
        answer = pin is not None if "pin" not in asked else pin == asked["pin"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"permission": answer}).encode())

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A credential, compiled to what a decision needs."""

    active: bool
    revoked: bool
    begins: float
    ends: float
    groups: frozenset[str]


class CompiledDecision(Way):
    """A pure decision over a snapshot of credentials in clear: the card alone opens.

    stone-age-io/access-control.
    """

    asks_pin = False

    def load(self) -> None:
        """Make the credentials, and one portal open to a group at all hours of the week."""
        self.policy = {
            number: Holder(
                active=True, revoked=False, begins=0.0, ends=4e9, groups=frozenset({"patrons"})
            )
            for number in (*self.others(), self.card.cpr)
        }
        self.windows = MappingProxyType({"patrons": [(day, 0, 1440) for day in range(7)]})

    def read(self, card: str) -> None:
        """Keep it: nothing is done before the decision."""
        self.number = card

    def decide(self, pin: str) -> bool:
        """Return whether no check says no; there is no PIN."""
        return self.reason(pin) == "allow"

    def reason(self, _pin: str) -> str:
        """Return which check says no first."""
        now = utc_now()
        holder, at = self.policy.get(self.number), now.timestamp()
        if holder is None:
            return "deny_unknown"
        if holder.revoked or not holder.active:
            return "deny_revoked"
        if not holder.begins <= at < holder.ends:
            return "deny_expired"
        minute = now.hour * 60 + now.minute
        for group in holder.groups & self.windows.keys():
            for day, begins, ends in self.windows[group]:
                if day == now.weekday() and begins <= minute < ends:
                    return "allow"
        return "deny_schedule_closed"


class Ours(Way):
    """The real controller, stores, log and (mock) pins of doorctl in one process.

    It does more than the others: hours, blocks, throttle and the attempt's durable commit.
    """

    repeats = 60

    def store(self) -> None:
        """Fill its register; the seal costs what it costs at a branch."""
        fill(self.directory / "ours", self.patrons, SEAL)

    def load(self) -> None:
        """Start the door."""
        directory = self.directory / "ours"
        sealer = ArgonSealer(read_key(directory / "installation.key"), *SEAL)
        self.door = InProcessDoor(Register(directory, self.patrons, sealer))

    def read(self, card: str) -> None:
        """Not called; see :meth:`timed`."""
        raise NotImplementedError

    def decide(self, pin: str) -> bool:
        """Not called; see :meth:`timed`."""
        raise NotImplementedError

    def timed(self) -> Timed:
        """Time the swipe and three digits, then the last one until the relay's edge."""
        before = time.perf_counter_ns()
        last = self.door.typed(self.card)
        return Timed(time.perf_counter_ns() - before, self.door.finish_ns(last))

    def close(self) -> None:
        """Stop its threads, close its files."""
        self.door.__exit__()
