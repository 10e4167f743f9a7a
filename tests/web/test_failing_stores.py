"""Every page while what it stands on fails: the audit log, the alarms, a database, the door.

The pages are those that the application has: one that is new has to be added to :data:`ASKS`.

Bug (penetration test): on a page the door was opened, the clock called right, a hold added or
lifted and a card unlocked though the audit log could not be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import httpx2
import pyotp
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from doorctl.accounts.roles import Role
from doorctl.config import Config
from doorctl.demo.door import Stage
from doorctl.lookup.app import App
from doorctl.lookup.configured import system_clock
from doorctl.lookup.numbers import DoorsNumbers, OwnNumbers, own_sealer
from doorctl.lookup.witness import believes
from doorctl.rpc.door import TRUST_WEBS_CLOCK
from doorctl.rpc.server import ControlServer
from doorctl.services.deeds import OpenBranch
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.patrons_writer import open_or_create_patrons
from doorctl.store.tombstones import StoredErasures
from doorctl.web.alarms import WebsAlarms
from doorctl.web.branch_thread import BranchThread
from doorctl.web.headers import Headed, SameOrigin
from doorctl.wiring.pages import pages
from doorctl.wiring.web_answers import webs_answers
from tests.browser.house import PASSWORD, keep_records, live_through
from tests.fakes.event_log import FakeEventLog
from tests.web.addresses import addresses
from tests.web.branch import Branch, asking_for_figures, row

NOW = datetime.now(ZoneInfo("Europe/Copenhagen"))
NOW_MS = round(NOW.timestamp() * 1000)
CARD, HERS = "3000001234", {"card": "3000001234", "why": "sag 12"}


def day(ahead: int) -> str:
    """Return a date as a form sends it."""
    return f"{(NOW + timedelta(days=ahead)).date()}"


def at(hours: int) -> str:
    """Return a local time as a form sends it."""
    return f"{NOW + timedelta(hours=hours):%Y-%m-%dT%H:%M}"


@dataclass(frozen=True)
class Ask:
    """One right question.

    `path`: where it differs from the address as it is :data:`FILLED`; `looks`: whether it only
    shows what goes on no audit log.
    """

    data: Mapping[str, str] | None = None
    path: str = ""
    role: Role = Role.MANAGER
    looks: bool = False


LOOK: Final = Ask(looks=True)
TOKEN: Final = "only-for-this-test"
SECRET: Final = pyotp.random_base32()
BAN = {"card": CARD, "reason": "noise", "days": "date", "last": day(9), "branches": "here"}
PASS = {"card": CARD, "kind": "association", "label": "Skak", "last": day(9), "weekday": "1"} | {
    "from": "10:00", "to": "20:00", "pin": "none", "bearer": "card", "companions": "0"
}  # fmt: skip
HOLD = {"from": at(-9), "to": at(-1), "case": "12", "reason": "indbrud i går", "until": day(3)}
SPAN = {"first": day(-2), "until": day(0), "purpose": "politiet spurgte"}

LOOKS: Final = (
    *("GET /", "GET /accounts", "GET /bans/check/{token}", "GET /calendar", "GET /calendar/{day}"),
    *("GET /calendar/poster", "GET /calendar/week", "GET /calendar/week/{token}", "GET /help"),
    *("GET /help/{page}", "GET /healthz", "GET /holds", "GET /log", "GET /me", "GET /metrics"),
    *("GET /now", "GET /panel", "GET /passes/check/{token}", "GET /passes/slip/{token}"),
    *("GET /sign-in", "GET /static/{path}", "GET /statistics", "GET /statistics.csv", "GET /why"),
    "POST /audit/verify",
)
NOTED: Final = (
    *("GET /audit", "GET /bans", "GET /bans/{number}", "GET /bans/{number}/letter"),
    *("GET /holds/{number}", "GET /passes", "GET /passes/{number}", "GET /readyz"),
    *("POST /audit/export", "POST /bans/{number}/lift", "POST /holds/{number}/lift"),
    *("POST /now/clock", "POST /passes/{number}/revoke"),
)
FILLED: Final = {
    "number": "1",
    "token": "none",
    "day": day(4),
    "change": "disable",
    "page": "librarian",
    "path": "doorctl.css",
}
"""What stands in an address."""

ASKS: Final[Mapping[str, Ask]] = MappingProxyType(
    {
        **dict.fromkeys(LOOKS, LOOK),
        **dict.fromkeys(NOTED, Ask()),
        "GET /log/attempt": Ask(path="/log/attempt?attempt=1", looks=True),
        "GET /log/reveal": Ask(path="/log/reveal?attempt=1", looks=True),
        "GET /people": Ask(role=Role.DPO, looks=True),
        "POST /accounts": Ask({"name": "ny", "role": "staff"}),
        "POST /accounts/password": Ask({"name": "technician"}),
        "POST /accounts/{change}": Ask({"name": "technician"}),
        "POST /bans": Ask(BAN),
        "POST /bans/check/{token}": Ask({"sure": "yes"}, looks=True),
        "POST /calendar": Ask({"open": "closed", "note": "ferie"}),
        "POST /calendar/week": Ask({"self0": "8-22"}, looks=True),
        "POST /calendar/week/{token}": Ask({"sure": "yes"}, looks=True),
        "POST /holds": Ask(HOLD),
        "POST /language": Ask({"language": "en"}, looks=True),
        "POST /log/export": Ask(SPAN),
        "POST /log/reveal": Ask({"attempt": "1", "purpose": "hun ringede"}),
        "POST /log/search": Ask({"card": CARD, "purpose": "hun ringede"}),
        "POST /now/acknowledge": Ask({"kind": "card_guessed"}),
        "POST /now/mode": Ask(
            {"mode": "closed", "until": at(2), "cause": "vand på gulvet", "version": "0"}
        ),
        "POST /now/mode/end": Ask({"version": "2"}),
        "POST /now/lock": Ask({"lock-until": at(2), "lock-cause": "vand på gulvet"}),
        "POST /now/lift": Ask({"version": "4"}),
        "POST /now/open": Ask({"reason": "glemte sin jakke"}),
        "POST /panel": Ask({"key": "x"}),
        "POST /panel/key": Ask({"key": "1", "attempt": "1"}),
        "POST /passes": Ask(PASS),
        "POST /passes/check/{token}": Ask({"sure": "yes"}, looks=True),
        "POST /people/erase": Ask({**HERS, "understood": "on"}, role=Role.DPO),
        **dict.fromkeys(
            (f"POST /people/{do}" for do in ("export", "find", "restrict", "unrestrict")),
            Ask(HERS, role=Role.DPO),
        ),
        "POST /people/object": Ask({**HERS, "why": "brev 12"}, role=Role.DPO),
        "POST /people/decide": Ask(
            {**HERS, "why": "brev 13", "decision": "rejected"}, role=Role.DPO
        ),
        "POST /why": Ask({"card": CARD, "reason": "asks"}),
        "POST /why/unlock": Ask({"card": CARD}),
        "POST /me": Ask({"old": PASSWORD, "new": "hest lampe fjord", "again": "hest lampe fjord"}),
        "POST /me/factor": Ask({"secret": SECRET}, role=Role.DPO),
        "POST /sign-in": Ask({"name": "staff", "password": PASSWORD}, role=Role.VIEWER),
        "POST /me/end": Ask({"session": "1"}, role=Role.VIEWER),
        "POST /me/everywhere": Ask(role=Role.VIEWER),
        "POST /sign-out": Ask(role=Role.VIEWER),
    }
)
"""In the order in which they are asked: what ends a session comes last."""

ENDLESS: Final = frozenset({"GET /panel/events", "GET /log/events"})
"""Streams; other tests listen to them."""


@dataclass
class Served:
    """The pages of a real branch, in this process, and its real door.

    `door`: its door; it may not run; `sessions`: the cookie of each role.
    """

    config: Config
    door: Stage
    desk: BranchThread
    client: TestClient
    sessions: dict[Role, str] = field(default_factory=dict)

    def sign_in(self) -> None:
        """Begin a session of each role; some questions end it."""
        for role in (Role.MANAGER, Role.DPO, Role.VIEWER):
            data = {"name": role.value, "password": PASSWORD}
            answer = self.client.post("/sign-in", data=data)
            self.sessions[role] = answer.headers["set-cookie"].partition(";")[0]
            self.client.cookies.clear()

    def ask(self, label: str) -> httpx2.Response:
        """Ask as :data:`ASKS` says; whatever a page does not catch is raised."""
        (method, address), ask = label.split(" "), ASKS[label]
        headers = {"Cookie": self.sessions[ask.role], "Authorization": f"Bearer {TOKEN}"}
        data = {"form": "sent", **(ask.data or {})} if method == "POST" else None
        if data and "secret" in data:
            data["code"] = pyotp.TOTP(SECRET).now()
        if address == "/calendar" and data:
            # A date is changed as it was when its form was shown.
            form = self.client.get(f"/calendar/{day(7)}", headers=headers).text
            data["date"] = form.partition(f'name="date" value="{day(7)}')[2].partition('"')[0]
            data["date"] = f"{day(7)}{data['date']}"
        path = ask.path or address.format(**FILLED)
        while True:
            answer: httpx2.Response = self.client.request(method, path, headers=headers, data=data)
            # The door seals only a few cards a second for web.
            if "for mange numre" not in answer.text:
                return answer
            time.sleep(0.1)

    def write(self, sql: str) -> None:
        """Have the writer of ``branch.db`` do something to its own connection or file."""

        def use(opened: OpenBranch, _moment: object) -> None:
            assert isinstance(opened.writer, BranchRecordsWriter)
            connection: Connection = opened.writer.database
            connection.executescript(sql)

        self.desk.run(use)

    def held(self) -> str:
        """Return all that deeds change, as text: both databases without looks and sessions."""
        told = []
        for path, tables in (
            (self.config.storage.branch_db, DECIDING + ABOUT_PEOPLE),
            (self.config.storage.visits_db, HELD),
        ):
            with closing(Connection(f"file:{path}?mode=ro", uri=True)) as database:
                for table in tables:
                    told += [table, *map(str, database.execute(f"SELECT * FROM {table}"))]  # noqa: S608
        return "\n".join(told)


DECIDING = ("bans", "passes", "days", "week", "overrides", "accounts", "second_factors")
ABOUT_PEOPLE = ("restrictions", "tombstones")
HELD = ("attempts", "holds", "throttles", "wrong_pins")
"""Not the clock, which the door writes down by itself every ten minutes and after a step."""


@contextmanager
def served(directory: Path, *, door: bool) -> Iterator[Served]:
    """Serve a branch with a bit of everything."""
    figures = asking_for_figures(directory, TOKEN)
    branch = Branch(directory, "policy.code_entry=true", "hours.source=staff", figures)
    config = branch.config
    live_through(config, 1, [row(1).row_key])
    keep_records(config, row(1).row_key)
    with closing(Connection(config.storage.visits_db)) as visits, visits:
        key = OwnNumbers(own_sealer(config)).readings(CARD, None)[0].key
        visits.execute(
            "INSERT INTO throttles (row_key, failures, boot_id, boot_ms, touched_ms) "
            "VALUES (?, 10, 'a boot', 0, ?)",
            (key, NOW_MS),
        )
    with ExitStack() as stack:
        if door:
            stack.enter_context(branch.stage)
            branch.stage.start()
        clock, log = system_clock(config), FakeEventLog()
        desk = BranchThread(App(config, clock))
        stack.callback(desk.close)
        desk.open()
        alarms = WebsAlarms(config, log, clock, stack, {})
        standing = alarms.kept_in(desk, stack)
        worker = stack.enter_context(ThreadPoolExecutor(1))
        erasures = stack.enter_context(closing(StoredErasures(config.storage.branch_db)))
        seal, policy = own_sealer(config).seal, config.policy
        opened = partial(open_or_create_patrons, config.storage.patrons_db, seal, erasures, policy)
        register = worker.submit(opened).result()
        stack.callback(lambda: worker.submit(register.close).result())
        answers = {**desk.answers(), **webs_answers(desk, worker, register), **alarms.answers}
        answers |= TRUST_WEBS_CLOCK.answered(lambda _nothing: believes(clock))
        server = ControlServer(config.web.socket, answers, "web", lambda _kind: None)
        server.start()
        stack.callback(server.stop)
        seen_by_pages = App(config, clock, DoorsNumbers(config.control.socket))
        shown = pages(seen_by_pages, log, desk, standing, stack)
        stack.callback(shown.stop)
        app = Headed(SameOrigin(Starlette(routes=shown.routes)), encrypted=False)
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        client = TestClient(
            app,
            "http://127.0.0.1",
            headers=headers,
            follow_redirects=False,
            client=("127.0.0.1", 1),
        )
        stack.enter_context(client)
        web = Served(config, branch.stage, desk, client)
        web.sign_in()
        held = web.ask("POST /holds")
        assert held.status_code == 303, held.text
        yield web


def test_every_page_is_asked(tmp_path: Path) -> None:
    """A page that is new has to say here how it is asked."""
    built = {
        f"{method} {path}"
        for method, path in addresses(Branch(tmp_path, asking_for_figures(tmp_path)).config)
    }

    assert set(ASKS) | ENDLESS == built


REFUSED_ANYHOW: Final = {"POST /panel": 403, "POST /panel/key": 400, "GET /readyz": 503}
"""The screen at the door has a secret, and without a register no patron is let in."""

AUDIT_FAILS: Final = MappingProxyType(
    {
        "PRAGMA query_only=ON": "PRAGMA query_only=OFF",
        "CREATE TRIGGER no_entry BEFORE INSERT ON audit "
        "BEGIN SELECT RAISE(ABORT, 'no entry'); END": "DROP TRIGGER no_entry",
    }
)
"""A fault of the audit log, and what mends it."""


def test_what_has_no_audit_entry_is_not_done_nor_shown(tmp_path: Path) -> None:
    """Nothing that goes on the audit log is done while that can't be written; the rest is shown.

    Without a fault all is done: what is asked here is right.
    """
    with served(tmp_path, door=True) as web:
        for fault, mended in AUDIT_FAILS.items():
            web.write(fault)
            before, wrong = web.held(), []
            for label, ask in ASKS.items():
                answer = web.ask(label)
                wrong += _unsaid(label, answer)
                if ask.looks and answer.status_code >= 400:
                    wrong.append(f"{label} shows nothing: {answer.status_code}")
                if "secret" in (ask.data or {}) and answer.status_code < 400:
                    wrong.append(f"{label} answers as if done: {answer.status_code}")
                if (after := web.held()) != before:
                    wrong.append(f"{label} was done: {answer.status_code}")
                    before = after
            assert web.ask("GET /now").status_code == 200
            assert (fault, wrong) == (fault, [])
            web.write(mended)
            web.sign_in()
        assert not [line for line in web.door.lines if line["event"] == "opened_by_staff"]
        refused = {label: web.ask(label).status_code for label in ASKS}

    assert {label: code for label, code in refused.items() if code >= 400} == REFUSED_ANYHOW


def _damaged(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(len(whole) - 100))


def _gone(path: Path) -> None:
    path.unlink(missing_ok=True)


FAULTS: Final[Mapping[str, Callable[[Served], object]]] = MappingProxyType(
    {
        "no alarms": lambda web: web.write("DROP TABLE alarms"),
        "branch.db damaged": lambda web: _damaged(web.config.storage.branch_db),
        "visits.db missing": lambda web: _gone(web.config.storage.visits_db),
        "visits.db damaged": lambda web: _damaged(web.config.storage.visits_db),
        "patrons.db missing": lambda web: _gone(web.config.storage.patrons_db),
        "patrons.db damaged": lambda web: _damaged(web.config.storage.patrons_db),
    }
)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_page_ends_in_a_traceback(tmp_path: Path, fault: str) -> None:
    """Whatever is broken, with no door beside it: each page says a sentence."""
    with served(tmp_path, door=False) as web:
        FAULTS[fault](web)
        answers = {label: web.ask(label) for label in ASKS}
    failing = {label for label, answer in answers.items() if answer.status_code >= 400}

    assert [one for label, answer in answers.items() for one in _unsaid(label, answer)] == []
    if "branch" not in fault:
        assert {label for label in failing - NEED_LOG if ASKS[label].looks} == set()


NEED_LOG: Final = frozenset(
    {
        *("GET /log", "GET /log/attempt", "GET /log/reveal", "GET /holds"),
        *("GET /statistics", "GET /statistics.csv"),
    }
)
"""What only shows what stands in ``visits.db``."""


def _unsaid(label: str, answer: httpx2.Response) -> list[str]:
    """Return what is wrong with an answer: a bare fault."""
    said = answer.text.partition("<main")[2] or answer.text
    if answer.status_code == 500 or (answer.status_code >= 400 and len(said) < 20):
        return [f"{label}: {answer.status_code} {said[:80]}"]
    return []
