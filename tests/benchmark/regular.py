"""What is done regularly, at a small branch and at a large one: how its processor time grows.

None of it may grow with the register or the log. What has to stands in parts of its own, which say
what is read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final

import httpx2
import orjson

from doorctl.access.throttle import TOLD_FROM
from doorctl.accounts.roles import Role
from doorctl.config import load
from doorctl.core.moments import BootTime, ClockState
from doorctl.demo.patrons import write_feed
from doorctl.lookup.app import App
from doorctl.lookup.configured import retention, system_clock
from doorctl.lookup.health import alarms_standing
from doorctl.ops.clock import SystemClock, utc_now
from doorctl.privacy.audit import Action
from doorctl.privacy.patrons_round import PatronsRound
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import SELF_TEST, STATUS
from doorctl.services.visits import version
from doorctl.store.door_log import VisitHistory
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter
from doorctl.store.records import AuditRecords, LastBackup
from doorctl.store.tables import to_ms
from doorctl.store.visit_purge import purge
from doorctl.store.visits import VisitStore
from doorctl.sync.exchange import MOST_PATRONS
from doorctl.wiring.outbox import Wishes
from doorctl.wiring.sync import push
from tests.benchmark.figures import NS_PER_MS, Figure, Plan
from tests.benchmark.lanes import running
from tests.benchmark.pages import cpu_clock, signed_in
from tests.benchmark.pushing import serving
from tests.benchmark.register import FEED_SEED, KNOWN, MINIMUM_AGE, known_rows, random_rows
from tests.browser.house import DAYS, count_years, keep_records, live_through
from tests.e2e.sender import Sender
from tests.fakes.cards import replace_rows
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import EPOCH, Branch

GROWTH: Final = 1.5
"""Most processor time of the large branch, in times of the small one's."""

AIR: Final = 1.5
"""For what grows just as what it reads."""

PART: Final = "regular work"
TOKEN: Final = "token-of-the-benchmark"
EVENTS_PER_DAY: Final = 96
"""A push each quarter of an hour: an event in the door log and an entry in the audit log."""

AUDIT_DAYS: Final = 185
WRONG_PINS_PER_DAY: Final = 25
THROTTLES: Final = 500
LOOK_S, AT_REST_NS = 0.5, 20_000_000
STATISTICS: Final = "/statistics"
ASKED_BEFORE: Final = 4
ANSWER_S: Final = 30.0
"""Longest wait for an answer."""

Spent = Mapping[str, float]
"""Processor time by piece of work, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a branch is.

    `patrons`: rows of its register; `days`: of so many days is its log; `visits_per_day`: on each.
    """

    patrons: int
    days: int
    visits_per_day: int


def regular(plan: Plan, work: Path) -> Iterator[Figure]:
    """Do at a small branch, a large one and two senders all that is done regularly."""
    work.mkdir(parents=True)
    few, many = plan.regular
    sizes = [Size(few, 1, plan.visits_per_day), Size(many, DAYS, plan.visits_per_day)]
    spent = [_spent(work / f"{size.patrons}", size, plan.page_repeats) for size in sizes]
    log = f"1 -> {DAYS} days of {plan.visits_per_day} visits"
    steady, of_log, of_register = zip(*spent, strict=True)
    part = f"{PART}, {few:,} -> {many:,} patrons, {log}"
    yield from _rows(part, steady, plan.page_repeats, GROWTH)
    yield from _rows(f"{PART} that reads the whole log, {log}", of_log, plan.page_repeats, DAYS)
    part = f"{PART} that reads the whole register, {few:,} -> {many:,} patrons"
    yield from _rows(part, of_register, 1, AIR * many / few)
    few, many = plan.exported
    runs = [_of_sender(work / f"sender-{count}", count) for count in plan.exported]
    part = f"{PART} that reads the whole export, {few:,} -> {many:,} patrons"
    yield from _rows(part, runs, 1, AIR * many / few)


def _rows(part: str, spent: Sequence[Spent], n: int, budget: float) -> Iterator[Figure]:
    small, large = spent
    for what, taken in large.items():
        yield Figure(part, f"{what}, large; floor: small", taken, "ms", n, small[what])
        yield Figure(part, f"{what}, growth", taken / small[what], "x", n, budget=budget)


def _spent(directory: Path, size: Size, repeats: int) -> tuple[Spent, Spent, Spent]:
    with _lived_in(directory, size) as (branch, door_pid):
        clocks = [cpu_clock(pid) for pid in (door_pid, int(branch.lines[0]["pid"]))]
        # The first purge and its proof go on behind `ready`.
        _await_rest(clocks)
        questions = {
            what: _cpu_ms(clocks, question, repeats) for what, question in _questions(branch)
        }
    steady = {what: _own_ms(job, 5 * repeats) for what, job in _jobs(branch)}
    of_log = {what: _own_ms(job, repeats) for what, job in _jobs_of_log(branch)}
    of_log[STATISTICS] = questions.pop(STATISTICS)
    of_register = {what: _own_ms(job, 1) for what, job in _jobs_of_register(branch)}
    return questions | steady, of_log, of_register


def _await_rest(clocks: Sequence[int]) -> None:
    """Wait until processes have done next to nothing for a while."""
    until_s, last_ns = time.monotonic() + LIMIT_S, _spent_ns(clocks)
    while time.monotonic() < until_s:
        time.sleep(LOOK_S)
        now_ns = _spent_ns(clocks)
        if now_ns - last_ns < AT_REST_NS:
            return
        last_ns = now_ns


def _spent_ns(clocks: Sequence[int]) -> int:
    return sum(map(time.clock_gettime_ns, clocks))


def _cpu_ms(clocks: Sequence[int], question: Callable[[], object], repeats: int) -> float:
    """Return the processor time of other processes for a question."""
    question()  # The first one compiles a template, or fills a cache.
    before = _spent_ns(clocks)
    for _ in range(repeats):
        question()
    return (_spent_ns(clocks) - before) / repeats / NS_PER_MS


def _own_ms(job: Callable[[], object], repeats: int) -> float:
    job()
    before = time.process_time_ns()
    for _ in range(repeats):
        job()
    return (time.process_time_ns() - before) / repeats / NS_PER_MS


def _questions(branch: Branch) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what people, monitoring and the sender ask the two processes."""
    control, limit_s = branch.config.control.socket, ANSWER_S
    yield "doorctl status", lambda: STATUS.ask(control, Nothing(), timeout_s=limit_s)
    yield "doorctl selftest", lambda: SELF_TEST.ask(control, Nothing(), timeout_s=limit_s)
    with httpx2.Client(base_url=f"http://127.0.0.1:{branch.port}", timeout=LIMIT_S) as browser:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        staff = {"Cookie": signed_in(browser, Role.MANAGER), "Accept": "text/html"}
        pages = {"/readyz": {}, "/metrics": bearer, "/panel": {}, EPOCH: {}}
        pages |= dict.fromkeys(("/now", "/log", STATISTICS), staff)
        # Once a day a part of the register is inspected at each of the sender's questions.
        for _ in range(ASKED_BEFORE):
            _get(browser, EPOCH, {})
        for path, headers in pages.items():
            yield path, partial(_get, browser, path, headers)


def _get(browser: httpx2.Client, path: str, headers: Mapping[str, str]) -> None:
    answer = browser.get(path, headers=headers)
    assert answer.is_success, f"{path}: {answer.status_code}"


def _jobs(branch: Branch) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what both processes do by themselves each second, minute, ten minutes or push."""
    config, clock = branch.config, _clock(branch)
    yield "log's stream, each half second", partial(version, App(config, clock))
    path, moment = config.storage.visits_db, clock.moment()
    with closing(VisitStore(path)) as visits:
        boot = BootTime("benchmark", 3_600_000)
        yield "oldest row of the log, each minute", visits.oldest_row
        yield "time kept, each ten minutes", partial(visits.keep_time, moment.local, boot)
    # What is made for it lasts a second, so its questions can't be counted one by one.
    yield "doorctl check, each second", partial(alarms_standing, config, [])
    with closing(AuditRecords(config.storage.branch_db)) as audit:
        backups = LastBackup()
        yield "last backup, each minute", partial(backups.look, audit)
    seal = branch.seal
    with (
        closing(PatronCacheWriter(config.storage.patrons_db, seal)) as writer,
        closing(PatronCache(config.storage.patrons_db, seal)) as cache,
    ):
        rounds = PatronsRound(
            stamp=cache.stamp,
            expire=writer.expire,
            forget=writer.forget,
            clock=clock,
            log=FakeEventLog(),
        )
        yield "register's expiry, each ten minutes", rounds.turn


def _jobs_of_log(branch: Branch) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what has to look at the whole log."""
    config, moment = branch.config, _clock(branch).moment()
    boot, days = BootTime("benchmark", 3_600_000), retention(config)
    with closing(VisitStore(config.storage.visits_db)) as visits:
        # VACUUM rewrites the file, so that no byte of what was deleted is left.
        yield "purge of nothing, each six hours", partial(purge, visits, moment, boot, days)
    with closing(VisitHistory(config.storage.visits_db)) as history:
        many = partial(history.many_wrong_pins, TOLD_FROM, MOST_PATRONS)
        yield "wrong PINs for the sender, each push", many


def _jobs_of_register(branch: Branch) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what has to look at all patrons: a wrong bit in a key is met by no swipe."""
    with closing(PatronCache(branch.config.storage.patrons_db, branch.seal)) as cache:

        def inspect() -> None:
            last = b""
            while last := cache.inspect(last)[0]:
                pass

        yield "register inspected, each day", inspect


def _clock(branch: Branch) -> SystemClock:
    return system_clock(branch.config)


@contextmanager
def _lived_in(directory: Path, size: Size) -> Iterator[tuple[Branch, int]]:
    directory.mkdir()
    token = directory / "metrics.token"
    token.write_text(TOKEN, encoding="ascii")
    token.chmod(0o600)
    branch = Branch(directory, f'metrics.token_file="{token}"')
    known = list(known_rows(branch.sealer))
    cards = [row.row_key for row in known]
    live_through(branch.config, size.visits_per_day, cards, size.days)
    if size.days == DAYS:
        count_years(branch.config, size.visits_per_day)
    keep_records(branch.config, cards[0])
    _fill_logs(branch, size.days)
    with closing(PatronCacheWriter(branch.config.storage.patrons_db, branch.seal)) as writer:
        rows = chain(known, random_rows(size.patrons - KNOWN))
        replace_rows(writer, rows, utc_now(), MINIMUM_AGE)
    branch.start()
    try:
        with running(branch.stage) as lane:
            yield branch, lane.stage.pid
    finally:
        branch.end()


def _fill_logs(branch: Branch, days: int) -> None:
    """Fill the rest of the door log and the audit log as so many days leave them."""
    now_ms, step_ms = to_ms(utc_now()), 86_400_000 // EVENTS_PER_DAY
    times = [now_ms - number * step_ms for number in range(days * EVENTS_PER_DAY)]
    trusted = ClockState.TRUSTED.value
    storage = branch.config.storage
    with closing(sqlite3.connect(storage.visits_db)) as connection, connection:
        events = ((at_ms, trusted, "earlier", 0, "push", f"{at_ms}", "") for at_ms in times)
        connection.executemany(_EVENT, events)
        wrong = (
            (-number, _day(now_ms, number // WRONG_PINS_PER_DAY), f"{number % 200}")
            for number in range(1, days * WRONG_PINS_PER_DAY)
        )
        connection.executemany(_WRONG_PIN, wrong)
        throttles = ((_key(number), times[-1]) for number in range(THROTTLES * days // DAYS))
        connection.executemany(_THROTTLE, throttles)
    with closing(sqlite3.connect(storage.branch_db)) as connection, connection:
        ((last,),) = connection.execute("SELECT max(number) FROM audit").fetchall()
        count = EVENTS_PER_DAY * AUDIT_DAYS * days // DAYS
        entries = (
            (last + number, _record(now_ms - (count - number) * step_ms, number), *[bytes(32)] * 3)
            for number in range(1, count)
        )
        connection.executemany(_ENTRY, entries)


_EVENT = """
    INSERT INTO events (at_ms, clock, boot_id, boot_ms, kind, why, by) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_WRONG_PIN = """
    INSERT INTO wrong_pins (attempt, day, patron_ref, answered) VALUES (?, ?, ?, 0)
"""
_THROTTLE = "INSERT INTO throttles VALUES (?, 1, 'earlier', 0, ?)"
_ENTRY = "INSERT INTO audit (number, record, salt, commitment, hash) VALUES (?, ?, ?, ?, ?)"


def _day(now_ms: int, ago: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(now_ms / 1000 - ago * 86_400))


def _key(number: int) -> bytes:
    return sha256(b"throttled %d" % number).digest()[:16]


def _record(at_ms: int, epoch: int) -> str:
    record = {
        "at_ms": at_ms,
        "clock": ClockState.TRUSTED.value,
        "by": "sync",
        "action": Action.PUSH_APPLIED.value,
        "cards": [],
        "patron_ref": None,
        "why": "",
        "details": {"epoch": epoch, "kind": "changes", "applied": 10},
    }
    return orjson.dumps(record).decode()


def _of_sender(directory: Path, count: int) -> Spent:
    """Return what a run of the sender takes that finds nothing new in an export of so many."""
    with serving(directory / "branch") as branch:
        home = directory / "sender"
        home.mkdir()
        key = branch.config.secrets.installation_key_file
        sender = Sender(home, key, branch.directory / "push.key")
        sender.target({"branch": "demo", "url": f"http://127.0.0.1:{branch.port}"})
        export = home / "exports" / "2026-01-01-full.ndjson"
        write_feed(export, count, FEED_SEED, utc_now().date())
        config = load(sender.config)
        clock = system_clock(config)
        _, deliveries = push(config, Wishes(), clock)
        failed = [each.why for each in deliveries if each.why]
        assert not failed, failed
        return {"run without news": _own_ms(partial(push, config, Wishes(), clock), 1)}
