"""Who comes to a soaked branch: to its door, to its pages, and with a push."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from random import Random

import httpx2

from doorctl.access.panel import Kind, PanelView
from doorctl.access.patron import Patron, SealedRow
from doorctl.accounts.account import Account
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Role
from doorctl.core.errors import DoorctlError
from doorctl.demo.door import Stage
from doorctl.lookup.app import App
from doorctl.rpc.panel import PanelOverSocket
from doorctl.services import deeds
from doorctl.services.accounts import hashed
from doorctl.services.branch import change
from doorctl.store.sealer import ArgonSealer
from doorctl.sync.document import Kind as PushKind
from tests.fakes.cards import plastic, sealed
from tests.web.branch import Branch, row

ENTITLED = 30
FIRST_CARD = 3_000_001_300
PIN = "4729"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who comes again and again.

    `card`: its number, invented; `patron`: what the register says otherwise than of anybody.
    """

    card: str
    reason: str
    patron: Patron

    @property
    def swipe(self) -> bytes:
        """What the reader sends."""
        return f"{self.card}\r".encode()


def visitors() -> list[Visitor]:
    """Return everybody: most are let in, the others prove their PIN and are refused."""
    patrons = [("ok", Patron("", resident=True))] * ENTITLED
    patrons += [
        ("not_resident", Patron("", resident=False)),
        ("blocked", Patron("", resident=True, blocks=frozenset("O"))),
        ("expired", Patron("", resident=True, valid_until=date(2020, 1, 1))),
        ("ok", Patron("", resident=True, blocks=frozenset("E"))),
    ]
    return [
        Visitor(str(FIRST_CARD + number), reason, patron)
        for number, (reason, patron) in enumerate(patrons)
    ]


def rows_of(people: Sequence[Visitor], sealer: ArgonSealer) -> Iterator[SealedRow]:
    """Yield the rows that a push brings of them."""
    for number, visitor in enumerate(people):
        patron = replace(visitor.patron, patron_ref=f"soak-{number}")
        yield sealed(sealer, plastic(visitor.card), patron, PIN)


def order(people: Sequence[Visitor], random: Random) -> Iterator[Visitor]:
    """Yield who comes next, for ever."""
    while True:
        yield from random.sample(list(people), len(people))


HEARD_S = 20.0
ASKED = (Kind.CARD_READ, Kind.TYPING)


@dataclass
class Tally:
    """What became of the visits.

    `decided`: each decision's attempt, its reason, and when it was, in monotonic seconds; `wrong`:
    visits that ended otherwise than they had to; `lost`: visits that did not end.
    """

    decided: list[tuple[int, str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason was given."""
        return Counter(reason for _, reason, _ in self.decided)


class Visits:
    """Has people swipe and type; one thread.

    `stage`: a running door; `people`: who comes next, for ever.
    """

    def __init__(self, stage: Stage, people: Iterator[Visitor]) -> None:
        self.tally = Tally()
        self._stage = stage
        self._people = people
        self._screen = PanelOverSocket(stage.directory / "door.sock")

    def one(self) -> None:
        """Have the next one in, or refused."""
        visitor = next(self._people)
        try:
            self._visit(visitor)
        except DoorctlError as error:
            self.tally.lost.append(f"{visitor.reason}: {error}")

    def replug(self, out_s: float) -> None:
        """Pull the reader out and put it back; return once the door has it again."""
        self._stage.reader.pull()
        self._stage.wait_for("reader", state="lost")
        time.sleep(out_s)
        self._stage.reader.put_in()
        self._stage.wait_for("reader", state="connected")

    def _visit(self, visitor: Visitor) -> None:
        before = self._screen.look(0)
        self._stage.skip()
        self._stage.reader.send(visitor.swipe)
        # Keys that come before the card is read would be nobody's: two lines have no order.
        attempt = self._asked(before).state.attempt
        self._stage.keypad.send(PIN.encode())
        line = self._stage.wait_for("decision", attempt=attempt)
        self.tally.decided.append((attempt, line["reason"], time.monotonic()))
        if line["reason"] != visitor.reason:
            self.tally.wrong.append(f"attempt {attempt}: {line['reason']}, not {visitor.reason}")

    def _asked(self, before: PanelView) -> PanelView:
        """Wait until somebody new is asked for the PIN."""
        view, limit_s = before, time.monotonic() + HEARD_S
        while view.state.kind not in ASKED or view.state.attempt == before.state.attempt:
            if time.monotonic() > limit_s:
                raise DoorctlError("the swipe was not heard")
            view = self._screen.look(view.seq)
        return view


NAME = "soak"
PASSWORD = "en lang adgangssætning til udholdenhed"
PAGES = ("/now", "/log", "/statistics", "/calendar", "/bans", "/passes", "/audit", "/me")
STRANGERS = 1000
CHANGED = 20
LIMIT_S = 30.0


class Pushing:
    """Sends a snapshot, then changes, a few times, and so on; one thread."""

    def __init__(self, branch: Branch, people: Sequence[SealedRow]) -> None:
        self.answers: Counter[int] = Counter()
        self._branch = branch
        self._people = list(people)
        self._turn = 0

    def push(self) -> int:
        """Send the next one; return the answer's status."""
        self._turn += 1
        epoch = int(self._branch.held()["epoch"])
        is_whole = self._turn % 5 == 1
        if is_whole:
            lines = [*self._people, *(row(number) for number in range(STRANGERS))]
        else:
            blocks = frozenset("E" if self._turn % 2 else "")
            lines = [row(number, blocks=blocks) for number in range(CHANGED)]
        kind: PushKind = "snapshot" if is_whole else "changes"
        document = self._branch.document(
            lines, epoch + 1, kind=kind, previous_epoch=epoch, approved_by="soak", compress=is_whole
        )
        status = self._branch.push(document, kind=kind).status_code
        self.answers[status] += 1
        if status != httpx2.codes.OK:
            # Changes of rows that no snapshot has brought would follow on nothing.
            self._turn = 0
        return status


class Looking:
    """Somebody of the staff, signed in, who looks at one page after another; one thread."""

    def __init__(self, branch: Branch) -> None:
        self.answers: Counter[int] = Counter()
        self._turn = 0
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{branch.port}",
            headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
            timeout=LIMIT_S,
            trust_env=False,
        )

    def look(self) -> int:
        """Look at the next page, signing in where the session is over; return the status."""
        path = PAGES[self._turn % len(PAGES)]
        self._turn += 1
        answer = self._client.get(path)
        if answer.is_redirect:
            self._client.post("/sign-in", data={"name": NAME, "password": PASSWORD, "next": path})
            answer = self._client.get(path)
        self.answers[answer.status_code] += 1
        return answer.status_code

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def add_account(branch: Branch) -> None:
    """Make the account; works only while no web process runs."""
    soak = Account(NAME, "Soak", Role.MANAGER)
    change(App.of(branch.config), deeds.add_account(soak, hashed(Password(PASSWORD), NAME)))
