"""How fast the staff pages are after a busy month, how large web gets, and how the door fares."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import httpx2

from doorctl.accounts.account import Role
from doorctl.demo.door import Stage
from doorctl.store.door_log import VisitHistory
from doorctl.store.keys import ArgonSealer, read_key
from tests.benchmark.busy import P99_MS
from tests.benchmark.figures import Figure, Spread
from tests.benchmark.floor import Echo
from tests.benchmark.lanes import LONG_AGO, Lane, echo_directory, play
from tests.benchmark.plan import Plan
from tests.benchmark.receiving import HELD_MB
from tests.benchmark.register import known_rows
from tests.benchmark.sender import Sender
from tests.benchmark.start import resident_mb
from tests.browser.past import DAYS, PASSWORD, keep_records, live_through
from tests.browser.walk import STOPS
from tests.web.branch import LIMIT_S, Branch

PAGE_MS: Final = 50.0
"""The design's budget for any page."""

FLOOR: Final = "/static/icon.svg"
"""A file of the same process: what an answer costs without a page in it."""

POLLED: Final = "/now"
OK: Final = 200


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time each page of the walk, look at the memory, then let people in while 25 pages poll."""
    with _lived_in(work / "pages", plan.visits_per_month // DAYS) as (branch, lane):
        with httpx2.Client(base_url=f"http://127.0.0.1:{branch.port}", timeout=LIMIT_S) as browser:
            sessions = {role: signed_in(browser, role) for role in Role}
            yield from _timed(browser, sessions, plan.page_repeats)
        pid = int(branch.lines[0]["pid"])
        part = "web process after every page"
        yield Figure(part, "RSS", resident_mb(pid, "VmRSS"), "MB", 1, budget=HELD_MB)
        with Echo(echo_directory(work)) as echo, _staff(branch, sessions[Role.STAFF]):
            taken, floor = play([lane], echo, plan.busy_rounds)
    part = "last digit -> relay beside 25 staff pages, whole door and web"
    yield from Spread.of_ns(taken[0]).figures(part, Spread.of_ns(floor), p99=P99_MS)


def signed_in(browser: httpx2.Client, role: Role) -> str:
    """Sign in and return the cookie."""
    browser.cookies.clear()
    form = {"name": role.value, "password": PASSWORD}
    answer = browser.post("/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    cookie: str = answer.headers["set-cookie"].partition(";")[0]
    browser.cookies.clear()
    return cookie


def _timed(browser: httpx2.Client, sessions: dict[Role, str], repeats: int) -> Iterator[Figure]:
    floor = _median_ms(browser, FLOOR, "", repeats)
    for stop in STOPS:
        if stop.status == OK:
            cookie = sessions[stop.role] if stop.role else ""
            taken = _median_ms(browser, stop.path, cookie, repeats)
            yield Figure("page", f"{stop}, p50", taken, "ms", repeats, floor, PAGE_MS)


def _median_ms(browser: httpx2.Client, path: str, cookie: str, repeats: int) -> float:
    headers = {"Cookie": cookie, "Accept": "text/html"}
    taken = []
    # The first one compiles the template.
    for _ in range(repeats + 1):
        before = time.monotonic_ns()
        answer = browser.get(path, headers=headers)
        taken.append(time.monotonic_ns() - before)
        assert answer.status_code == OK, f"{path}: {answer.status_code}"
    return Spread.of_ns(taken[1:]).p50


@contextmanager
def _lived_in(directory: Path, visits_per_day: int) -> Iterator[tuple[Branch, Lane]]:
    directory.mkdir(parents=True)
    branch = Branch(directory, "door.release_s=0.5")
    key = read_key(branch.config.secrets.installation_key_file)
    known = list(known_rows(ArgonSealer(key, branch.seal.memory_kib, branch.seal.iterations)))
    live_through(branch.config, visits_per_day, [known[0].row_key])
    keep_records(branch.config, known[0].row_key)
    branch.start()
    try:
        sender = Sender(branch)
        failed = sender.push(sender.rows("known", "snapshot", known))
        assert not failed, failed
        with branch.stage as stage, closing(VisitHistory(directory / "visits.db")) as history:
            stage.start()
            yield branch, _behind(stage, history)
            stage.stop()
    finally:
        branch.end()


def _behind(stage: Stage, history: VisitHistory) -> Lane:
    before = max((visit.attempt for visit in history.visits(LONG_AGO)), default=0)
    return Lane(stage, history, before)


@contextmanager
def _staff(branch: Branch, cookie: str) -> Iterator[None]:
    """Have 25 pages poll, from a process of their own, so that they take no time of ours."""
    address = f"http://127.0.0.1:{branch.port}{POLLED}"
    command = [sys.executable, "-m", "tests.benchmark.staff", address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{cookie}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "polling\n"
    yield
    said, _ = process.communicate()
    assert process.returncode == 0, said
