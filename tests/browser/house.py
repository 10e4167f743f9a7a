"""A whole branch for a browser: a real door, a real web process, and a month behind them."""

from __future__ import annotations

import hashlib
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from doorctl.access.calendar import Mode, ModeSpan, StoredDay
from doorctl.access.patron import Patron, Reason
from doorctl.access.rights import ALL_BRANCHES, Ban, Pass, PassKind
from doorctl.accounts.account import Account
from doorctl.accounts.password import Password
from doorctl.accounts.roles import Role
from doorctl.config import Config
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.passages import ATTEMPT, LEAF, HourCount
from doorctl.services import deeds
from doorctl.services.deeds import Request
from doorctl.store.sign_in import ArgonPasswords
from doorctl.store.tables import to_ms
from doorctl.store.visits import VisitStore
from doorctl.web.branch_thread import BranchThread
from tests.fakes.cards import plastic, sealed
from tests.web.branch import Branch, row

# A month that never was: visits, bans, passes, a calendar, alarms and an audit log of nobody.

DAYS = 30
YEARS_H = 3 * 365 * 24
SEED = 20261125

PASSWORD = "en ganske lang sætning"
"""Of every account; each is named after its role."""

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
"""What may stand wherever somebody can write."""

OFTEN = 8
"""How many times as often as any refusal somebody comes in."""


def live_through(
    config: Config, visits_per_day: int, cards: Sequence[bytes], days: int = DAYS
) -> None:
    """Fill the door log and its counts with visits up to now; the door must not run.

    `config`: the branch's, whose databases are there; `visits_per_day`: as many on each of the
    `days`; `cards`: row keys of those who come, beside some whom the register lacks.
    """
    chance = random.Random(SEED)  # noqa: S311 - the same month each time
    reasons = [Reason.OK] * OFTEN * len(Reason) + list(Reason) * 2
    visitors = [*cards, *(hashlib.sha256(b"visitor %d" % n).digest()[:16] for n in range(200))]
    now = datetime.now().astimezone()
    times = sorted(
        now - timedelta(days=day, seconds=chance.randrange(60, 86_000))
        for day in range(max(1, days - 1))
        for _ in range(visits_per_day)
    )
    counts = []
    with closing(sqlite3.connect(config.storage.visits_db)) as connection, connection:
        for at in times:
            reason = chance.choice(reasons)
            card = None if reason is Reason.CARD_UNREADABLE else chance.choice(visitors)
            connection.execute(_VISIT, (to_ms(at), card, reason.verdict, reason.value))
            hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            counts.append(HourCount(hour, "self_service", ATTEMPT, reason.value, 1))
    with closing(VisitStore(config.storage.visits_db)) as visits:
        visits.add_counts(counts)


def count_years(config: Config, visits_per_day: int) -> None:
    """Count the hours of three years before that month, as a branch with a door contact does."""
    chance = random.Random(SEED)  # noqa: S311 - the same years each time
    begins = to_ms(datetime.now(UTC)) // 3_600_000 - DAYS * 24
    refusals = [reason.value for reason in Reason if reason is not Reason.OK]
    with closing(sqlite3.connect(config.storage.visits_db)) as connection, connection:
        for hour in range(begins - YEARS_H, begins):
            came = chance.randint(0, visits_per_day // 12) if hour % 24 > 5 else 0
            outcomes = Counter(
                "ok" if chance.random() < 0.85 else chance.choice(refusals) for _ in range(came)
            )
            counts = {(ATTEMPT, outcome): count for outcome, count in outcomes.items()}
            counts |= {(LEAF, outcome): outcomes["ok"] for outcome in ("entered", "left")}
            rows = [(hour, *column, count) for column, count in counts.items() if count]
            connection.executemany(
                "INSERT INTO hourly (hour, mode, kind, outcome, count) "
                "VALUES (?, 'self_service', ?, ?, ?)",
                rows,
            )


_VISIT = """
    INSERT INTO attempts (at_ms, clock, boot_id, boot_ms, row_key, verdict, reason)
    VALUES (?, 'trusted', 'an earlier boot', 0, ?, ?, ?)
"""


def keep_records(config: Config, card: bytes) -> None:
    """Fill `branch.db` with a bit of everything that pages show; the web process must not run.

    `config`: the branch's, whose databases are there; `card`: the row key of somebody who is in
    the register and gets a pass.
    """
    with closing(BranchThread(App.of(config))) as branch:
        for request in _requests(datetime.now().astimezone(), card):
            branch.change(request, "manager")
    now_ms = to_ms(datetime.now().astimezone())
    with closing(sqlite3.connect(config.storage.branch_db)) as connection, connection:
        # Of kinds that stand until a person has seen them, whatever the door does meanwhile. The
        # second is what the headline says, and no urgent one has a longer text.
        kinds = (
            "card_guessed",
            "branch_rolled_back",
            "push_unusual",
            "audit_rewritten",
            "overloaded",
        )
        for number, kind in enumerate(kinds):
            said = now_ms - 7_200_000, now_ms - 60_000 * (number + 1)
            connection.execute(_ALARM, (kind, "web" if number % 2 else "door", *said, SCRIPT))


_ALARM = """
    INSERT INTO alarms (kind, source, first_ms, last_ms, count, why) VALUES (?, ?, ?, ?, 3, ?)
"""


def _requests(now: datetime, card: bytes) -> Iterator[Request[object]]:
    passwords = ArgonPasswords(memory_kib=8, iterations=1)
    hashed = passwords.hashed(Password(PASSWORD))
    for role in Role:
        yield deeds.add_account(Account(role.value, role.value.title(), role), hashed)
    yield from _bans(now)
    yield from _passes(now.date(), card)
    yield from _calendar(now.date())
    for number in range(45):
        why = SCRIPT if number % 40 == 0 else "spurgt ved skranken"
        yield deeds.note(Deed(Action.VISITS_LISTED, why=why, details={"count": number}))


def _bans(now: datetime) -> Iterator[Request[object]]:
    here, month = frozenset({"demo"}), timedelta(days=30)
    for number, reason in enumerate(("Hærværk ved kopimaskinen", SCRIPT, "Lukkede andre ind")):
        since = now - timedelta(days=number)
        ban = Ban(0, reason, since, since + month, "staff", here, note=reason)
        yield deeds.add_ban(ban, _someone(number), f"90{number}")
    ever = Ban(0, "Truede personalet", now - month, None, "manager", frozenset({ALL_BRANCHES}))
    yield deeds.add_ban(ever, _someone(9), None)


def _passes(today: date, card: bytes) -> Iterator[Request[object]]:
    until = today + timedelta(days=100)
    evenings = frozenset({1, 3})
    for kind, label in ((PassKind.ASSOCIATION, "Skakklubben"), (PassKind.CLASS, SCRIPT)):
        new = Pass(0, kind, today, until, evenings, 1080, 1320, label=label, companions_max=2)
        yield deeds.issue_pass(new, card if kind is PassKind.ASSOCIATION else _someone(77))


def _calendar(today: date) -> Iterator[Request[object]]:
    hours = (ModeSpan(Mode.SELF_SERVICE, 420, 1320), ModeSpan(Mode.STAFFED, 600, 1020))
    yield deeds.set_day(StoredDay(today + timedelta(days=4), (), SCRIPT[:60]))
    yield deeds.set_day(StoredDay(today + timedelta(days=5), hours, "Kursusdag"))
    yield deeds.set_day(StoredDay(today + timedelta(days=9), hours[:1], "Ingen personale"))


def _someone(number: int) -> bytes:
    return hashlib.sha256(b"somebody %d" % number).digest()[:16]


VISITS_PER_DAY = 150

CARD, PIN = "3000001234", "4711"
BLOCKED_CARD = "3000001242"
CHILDS_CARD, SLOW_CARD = "3000001259", "3000001267"
PEOPLE = MappingProxyType(
    {
        CARD: Patron("1001", resident=True),
        BLOCKED_CARD: Patron("1002", resident=True, blocks=frozenset({"O"})),
        CHILDS_CARD: Patron("1003", resident=True, enter_from=date(2099, 1, 1)),
        SLOW_CARD: Patron("1004", resident=True, tags=frozenset({"long_release"})),
    }
)

SETTINGS = (
    'keypad.port=""',
    "panel.keypad=true",
    "panel.speech=true",
    "panel.message_s=2",
    "keypad.digit_timeout_s=30",
    "keypad.total_timeout_s=30",
    "door.release_s=0.5",
)
"""Keys are on the screen, and nobody who tests is in a hurry."""


class House:
    """A branch that runs, and who may come to it.

    `branch`: both of its processes; they have been started.
    """

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.address = f"http://127.0.0.1:{branch.port}"

    def swipe(self, number: str = CARD) -> int:
        """Swipe a card at the reader; return the attempt's number once it is on record."""
        self.branch.stage.reader.send(f"{number}\r".encode())
        return self.branch.stage.wait_for_attempt()

    @contextmanager
    def lockdown_lifted(self) -> Iterator[None]:
        """Have staff lift a lockdown of the manager's, as far as pages tell; forget it at the end.

        The door learns nothing of it.
        """
        now_ms = to_ms(datetime.now(UTC))
        with closing(sqlite3.connect(self.branch.config.storage.branch_db)) as connection:
            with connection:
                connection.execute(_LIFTED, {"began": now_ms - 60_000, "now": now_ms})
            try:
                yield
            finally:
                with connection:
                    connection.execute("DELETE FROM overrides WHERE cause = 'a lifted lockdown'")

    @property
    def web_pid(self) -> int:
        """The web process's number."""
        return int(self.branch.lines[0]["pid"])


_LIFTED = """
    INSERT INTO overrides (mode, until_ms, cause, by, set_ms, ended_ms, ended_by)
    VALUES ('lockdown', :now + 60000, 'a lifted lockdown', 'manager', :began, :now, 'staff')
"""


@contextmanager
def staged(
    directory: Path, visits_per_day: int = VISITS_PER_DAY, settings: tuple[str, ...] = ()
) -> Iterator[House]:
    """Yield a house with everything in it; both processes end with the block.

    `visits_per_day`: how busy the last month was; `settings`: more than :data:`SETTINGS`, or
    others.
    """
    branch = Branch(directory, *SETTINGS, *settings)
    branch.forked = branch.stage.forked = True
    registered = [
        sealed(branch.sealer, plastic(number), patron, PIN) for number, patron in PEOPLE.items()
    ]
    cards = [one.row_key for one in registered]
    live_through(branch.config, visits_per_day, cards)
    keep_records(branch.config, cards[0])
    with branch.stage:
        try:
            branch.start()
            crowd = [row(number) for number in range(100, 200)]
            answer = branch.push(branch.document([*registered, *crowd], 1))
            assert answer.status_code == 200, answer.text
            branch.stage.start()
            yield House(branch)
        finally:
            branch.end(signal.SIGKILL)
