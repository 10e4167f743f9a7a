"""How fast each page is after a busy month beside pushes, how large web gets, how the door fares.

Each page is first asked for while nothing else goes on, which tells how much CPU time web spends on
it, then while the sender pushes without a pause.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2

from doorctl.accounts.roles import Role
from tests.benchmark.figures import NS_PER_MS, Echo, Figure, Plan, Spread
from tests.benchmark.lanes import (
    BUSY_P99_MS,
    Background,
    Lane,
    echo_directory,
    play,
    resident_mb,
    running,
)
from tests.benchmark.pushing import HELD_MB, Sender, works
from tests.benchmark.register import known_rows
from tests.browser.house import DAYS, PASSWORD, count_years, keep_records, live_through
from tests.browser.walk import STOPS, Stop
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import Branch

PAGE_MS: Final = 50.0
"""The design's budget for any page."""

FLOOR: Final = "/static/icon.svg"
"""A file of the same process: what an answer costs without a page in it."""

OK: Final = 200
BUSY: Final = ("/log?span=week", "/log?span=week&outcome=refused", "/log/attempt?attempt=30")
PAGES: Final = (
    *(stop for stop in STOPS if stop.status == OK and not stop.path.startswith("/log/attempt")),
    *(Stop(path, Role.MANAGER) for path in BUSY),
)
"""Every page of the walk, with an attempt that each plan has, and what costs most beside them."""

POLLED: Final = "/now"


def pages(plan: Plan, work: Path) -> Iterator[Figure]:
    """Time each page of the walk, look at the memory, then let people in while 25 pages poll."""
    with _lived_in(work / "pages", plan.visits_per_month // DAYS) as (branch, lane):
        with httpx2.Client(base_url=f"http://127.0.0.1:{branch.port}", timeout=LIMIT_S) as browser:
            sessions = {role: signed_in(browser, role) for role in Role}
            yield from _timed(branch, browser, sessions, plan)
        with Echo(echo_directory(work)) as echo, _staff(branch, sessions[Role.STAFF]):
            taken, floor = play([lane], echo, plan.busy_rounds)
    part = "last digit -> relay beside 25 staff pages, whole door and web"
    yield from Spread.of_ns(taken[0]).figures(part, Spread.of_ns(floor), p99=BUSY_P99_MS)


def signed_in(browser: httpx2.Client, role: Role) -> str:
    """Sign in and return the cookie."""
    browser.cookies.clear()
    form = {"name": role.value, "password": PASSWORD}
    answer = browser.post("/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    cookie: str = answer.headers["set-cookie"].partition(";")[0]
    browser.cookies.clear()
    return cookie


def _timed(
    branch: Branch, browser: httpx2.Client, sessions: dict[Role, str], plan: Plan
) -> Iterator[Figure]:
    cookies = {stop: sessions[stop.role] if stop.role else "" for stop in PAGES}
    pid = int(branch.lines[0]["pid"])
    clock = cpu_clock(pid)
    spent = {}
    for stop, cookie in cookies.items():
        _durations_ns(browser, stop.path, cookie, 1)  # The first one compiles the template.
        before = time.clock_gettime_ns(clock)
        _durations_ns(browser, stop.path, cookie, plan.page_repeats)
        spent[stop] = (time.clock_gettime_ns(clock) - before) / plan.page_repeats / NS_PER_MS
    part = "web process after every page"
    yield Figure(part, "RSS", resident_mb(pid, "VmRSS"), "MB", 1, budget=HELD_MB)
    with Background(works(branch, min(plan.sizes[-1], 100_000), plan.changed)) as pushes:
        floor = Spread.of_ns(_durations_ns(browser, FLOOR, "", plan.page_repeats)).p50
        for stop, cookie in cookies.items():
            taken = sorted(_durations_ns(browser, stop.path, cookie, plan.page_repeats))
            p50, p95 = (taken[len(taken) * share // 100] / NS_PER_MS for share in (50, 95))
            n, name = plan.page_repeats, f"{stop.path} as {stop.role or 'anybody'}"
            yield Figure("page beside pushes", f"{name}, p50", p50, "ms", n, floor, PAGE_MS)
            yield Figure("page beside pushes", f"{name}, p95", p95, "ms", n)
            yield Figure("page beside pushes", f"{name}, CPU alone", spent[stop], "ms", n)
    yield Figure("page beside pushes", "pushes meanwhile", pushes.runs, "", pushes.runs)
    yield Figure(part, "RSS, and after pushes", resident_mb(pid, "VmRSS"), "MB", 1)


def cpu_clock(pid: int) -> int:
    """Return the clock of the CPU time of another process, as clock_getcpuclockid(3) makes it."""
    return ~pid << 3 | 2


def _durations_ns(browser: httpx2.Client, path: str, cookie: str, repeats: int) -> list[int]:
    headers = {"Cookie": cookie, "Accept": "text/html"}
    taken = []
    for _ in range(repeats):
        before = time.monotonic_ns()
        answer = browser.get(path, headers=headers)
        taken.append(time.monotonic_ns() - before)
        assert answer.status_code == OK, f"{path}: {answer.status_code}"
    return taken


@contextmanager
def _lived_in(directory: Path, visits_per_day: int) -> Iterator[tuple[Branch, Lane]]:
    directory.mkdir(parents=True)
    branch = Branch(directory, "door.release_s=0.5")
    known = list(known_rows(branch.sealer))
    live_through(branch.config, visits_per_day, [known[0].row_key])
    count_years(branch.config, visits_per_day)
    keep_records(branch.config, known[0].row_key)
    branch.start()
    try:
        sender = Sender(branch)
        failed = sender.push(sender.rows("known", "snapshot", known))
        assert not failed, failed
        with running(branch.stage) as lane:
            yield branch, lane
    finally:
        branch.end()


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
    output, _ = process.communicate()
    assert process.returncode == 0, output
