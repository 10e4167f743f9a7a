"""A door that plays an evening: a script of swipes, keys and deeds, by a clock set from outside.

For `tests.e2e.test_evenings` alone. The clock is a library that is laid over each process.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from math import ceil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from doorctl.core.ports import Seal
from doorctl.demo.door import LIMIT_S, Line
from doorctl.sources.hours import HolidaysWanted, computed
from doorctl.store.keys import key_id, read_key
from tests.e2e import people
from tests.e2e.door import Door, Drive, until
from tests.e2e.hours import ahead, in_s
from tests.e2e.people import CHILD, ENTITLED, TODAY, Person, blocked, write_feed
from tests.web.branch import Branch, row

ZONE = ZoneInfo("Europe/Copenhagen")
PEOPLE = {
    "A": ENTITLED,
    "B": people.ALSO_ENTITLED,
    "C": people.THIRD_ENTITLED,
    "N": people.NOT_RESIDENT,
    "STRANGER": people.STRANGER,
    "STOLEN": people.STOLEN,
    "CHILD": CHILD,
    "NEW": replace(ENTITLED, number="3000001299", kind="CARD"),
}
CHANGED = {
    "blocked": blocked("O"),
    "owes": blocked("E"),
    "moved": {"resident": False},
    "home": {},
    "leap": {},
    "newpin": {"pincode": "8642"},
    "easy": {"pincode": "1234"},
    "nopin": {"pincode": None},
    "renewed": {"identifiers": PEOPLE["NEW"].feed_row(0)["identifiers"]},
    "slow": {"tags": ["slow"]},
    "onhold": {"onHold": {"from": "2020-01-01", "to": None}},
}
SHIFT_C = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile long *by;
static char *mapped;
int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    char *name = getenv("SHIFT");
    if (name && name != mapped) {
        by = mmap(0, sizeof *by, PROT_READ, MAP_SHARED, open(name, O_RDONLY), 0);
        mapped = name;
    }
    if (!failed && by && clock == CLOCK_REALTIME) at->tv_sec += *by;
    return failed;
}
"""
"""A fork takes the file of its own environment."""


def coming(month: int, day: int) -> date:
    """Return the next such date after today."""
    found = TODAY.replace(month=month, day=day)
    return found if found > TODAY else found.replace(year=found.year + 1)


def begins(when: str) -> datetime:
    """Return when an evening begins: now, in so many hours, or at a local time of a date."""
    if not when or when[0] == "+":
        return datetime.now(ZONE) + timedelta(hours=float(when or 0))
    day, _, time_of_day = when.partition(" ")
    if day == "easter":
        years = (TODAY.year, TODAY.year + 1)
        known = computed(HolidaysWanted(years))
        eves = [one.day - timedelta(days=1) for one in known if one.note == "Påskedag"]
        on = next(eve for eve in eves if eve > TODAY)
    elif day == "leap":
        # 28 February, fourteen years after a leap year.
        on = date(TODAY.year + 1 + (1 - TODAY.year) % 4, 2, 28)
    elif day in {"spring", "autumn"}:
        # The last Sunday of March or October, either of 31 days.
        month = {"spring": 3, "autumn": 10}[day]
        days = (TODAY + timedelta(days=ahead) for ahead in range(1, 400))
        on = next(on for on in days if (on.month, on.weekday()) == (month, 6) and on.day > 24)
    else:
        on = TODAY + timedelta(days=1) if day == "tomorrow" else coming(*map(int, day.split("-")))
    return datetime.combine(on, clock_time.fromisoformat(time_of_day), ZONE)


class Evening(Door):
    """A door whose clock, and that of its commands, is set from outside; it plays a script."""

    library = Path()
    """Laid over what forks the doors, too."""

    pids: tuple[int, ...] = ()
    branch: Branch | None = None

    def set_clock(self, at: datetime) -> None:
        """Have it be that time, for all that runs and is started."""
        self.now = at
        by = ceil((at - datetime.now(UTC)).total_seconds())
        with (self.directory / "shift").open("r+b") as file:
            file.write(struct.pack("@q", by))

    def environment(self) -> dict[str, str]:
        """Lay the clock over a process."""
        over = {"LD_PRELOAD": str(self.library), "SHIFT": str(self.directory / "shift")}
        return super().environment() | over

    def start_door(self) -> Line:
        """Start it, and remember it for its pulses."""
        ready = super().start_door()
        self.pids = (*self.pids, self.pid)
        return ready

    def relay(self) -> list[Drive]:
        """Return each time that a door process of this evening released or locked."""
        return [edge for pid in self.pids for edge in self.edges(pid)]

    def play(self, script: str) -> None:
        """Do word after word: who swipes, keys, ``.`` or ``,`` for a decision, a time, a deed.

        After ``.`` a door that was opened is waited for until it is locked.
        """
        for word in script.split():
            if word in PEOPLE:
                self.swipe(PEOPLE[word].swipe)
            elif word in ".,":
                if self.wait_for("decision")["reason"] == "ok" and word == ".":
                    self.wait_for("door", state="locked")
            elif word[0] == "@":
                self.set_clock(self._when(word[1:]))
            elif word[0] == "!":
                deed, _, what = word[1:].partition(":")
                if deed in COMMANDS:
                    self.tell(*COMMANDS[deed])
                elif deed in DEEDS:
                    DEEDS[deed](self, what)
                else:
                    getattr(self, deed)(*filter(None, (what,)))
            elif word[0] == "?":
                event, _, what = word[1:].partition("=")
                known = KNOWN_BY[event](what) if event in KNOWN_BY else {"state": what}
                self.wait_for(event, timeout_s=LIMIT_S, **known)
            else:
                (self.press if len(word) in {1, 4} else self.press_heard)(word)

    def _when(self, word: str) -> datetime:
        if word[0] == "+":
            return (self.now.astimezone(UTC) + timedelta(minutes=int(word[1:]))).astimezone(ZONE)
        at = datetime.combine(self.now, clock_time.fromisoformat(word), ZONE)
        return at if at > self.now else at + timedelta(days=1)

    def tell(self, *words: str) -> None:
        """Have staff give a command, about A if about anybody, or with a PIN of its own."""
        typed = "7531\n" * 2 if "--own-pin" in words else f"{ENTITLED.number}\n"
        done = self.call(*words, stdin=typed)
        assert done.returncode == 0, done.stderr

    def load(self, what: str) -> None:
        """Load changes of A, or a full register without."""
        now = () if what == "gone" else (replace(ENTITLED, row=CHANGED[what]),)
        birthday = "02-29" if what == "leap" else "06-15"
        child = replace(CHILD, row={"birthday": f"{self.now.year - 14}-{birthday}"})
        feed = write_feed(self.directory / "feed", (*now, people.ALSO_ENTITLED, child))
        self.tell("patrons", "load", str(feed), "--full", "--approved-by", "B. Hansen")

    def thief(self, cards: str) -> None:
        """Try a PIN with so many cards that nobody knows."""
        for number in range(3_000_002_000, 3_000_002_000 + int(cards)):
            self.visit(Person(str(number), "5050"))

    def web(self) -> None:
        """Start the web process beside the door."""
        directory = self.directory / "web"
        directory.mkdir()
        self.branch = Branch(directory)
        self.branch.seal = Seal(key_id(read_key(self.directory / "installation.key")), 8, 1)
        public = f'web.push.public_key_files=["{directory / "push.pub"}"]'
        self.branch.stage = self.configured(f"web.port={self.branch.port}", public)
        self.branch.start()

    def push(self, count: str) -> None:
        """Begin to push so many patrons more, beside all that follows."""
        assert self.branch is not None
        epoch = self.branch.held()["epoch"] + 1
        more = [row(epoch * 5000 + number) for number in range(int(count))]
        document = self.branch.document(more, epoch, kind="changes", branch="proeve")
        pool = ThreadPoolExecutor(1)
        self.pushing = pool.submit(self.branch.push, document, kind="changes")
        pool.shutdown(wait=False)

    def kill_web(self) -> None:
        """Kill the web process, if there is one."""
        if self.branch is not None:
            self.branch.end(signal.SIGKILL)

    def files(self, name: str, content: bytes | None) -> None:
        """Lose a database, or have it overwritten."""
        for file in self.directory.glob(f"{name}*"):
            file.unlink() if content is None else file.write_bytes(content)

    def spoil(self, name: str) -> None:
        """Put a byte that is no UTF-8 into the text of each table, which SQLite quotes."""
        path = self.directory / name
        path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREA\x8aE TABLE"))


KNOWN_BY: dict[str, Callable[[str], dict[str, object]]] = {
    "relay": lambda what: {"energised": what == "on"},
    "alarm": lambda what: {"kind": what},
    "closing": lambda what: {"minutes": int(what)},
}
LABEL = ("--label", "Skakklubben", "--to", ahead(5))
COMMANDS = {
    "ban": ("bans", "add", "-", "--reason", "uro"),
    "lift": ("bans", "lift", "1"),
    "restrict": ("subject", "restrict", "-"),
    "unrestrict": ("subject", "unrestrict", "-"),
    "erase": ("subject", "erase", "-"),
    "lockdown": ("mode", "set", "lockdown", "--reason", "threat", "--until", in_s(36000)),
    "staffed": ("mode", "set", "staffed", "--reason", "a trial", "--until", in_s(36000)),
    "calm": ("mode", "end"),
    "unlock": ("patrons", "unlock", "-"),
    "pass": ("passes", "add", people.NOT_RESIDENT.number, "--kind", "association", *LABEL),
    "own_pin": (
        *("passes", "add", people.STRANGER.number, "--kind", "cleaner", *LABEL),
        *("--own-pin", "--outside-hours"),
    ),
    "revoke": ("passes", "revoke", "1"),
    "once": ("open", "--reason", "the first of the day"),
    "except": ("calendar", "except", ahead(0)),
    "clear": ("calendar", "clear", ahead(0)),
}
DEEDS: dict[str, Callable[[Evening, str], object]] = {
    "worn": lambda at, _: at.reader.send(b";92081004010170????\r"),
    "swipe": lambda at, _: at.reader.send(ENTITLED.swipe),
    "start": lambda at, _: at.start_door(),
    "hours": lambda at, _: until(lambda: at.said("mode")),
    "halt": lambda at, _: os.kill(at.pid, signal.SIGSTOP),
    "go": lambda at, _: os.kill(at.pid, signal.SIGCONT),
    "wait": lambda _, seconds: time.sleep(float(seconds)),
    "pushed": lambda at, _: at.pushing.result().raise_for_status(),
    "cut": lambda at, _: at.signalled(signal.SIGKILL),
    "stop": lambda at, _: at.signalled(signal.SIGTERM),
    "pull": lambda at, name: getattr(at, name).pull(),
    "plug": lambda at, name: getattr(at, name).put_in(),
    "lose": lambda at, name: at.files(name, None),
    "zero": lambda at, name: at.files(name, bytes(8192)),
    "open": lambda at, _: at.contact(open=True),
    "shut": lambda at, _: at.contact(open=False),
    "fire": lambda at, active: at.fire(active=bool(active)),
    "other": lambda at, is_open: at.other_door(open=bool(is_open)),
}


def built(directory: Path) -> Path:
    """Build what is laid over a process, so that its clock is ours to set; needs a C compiler."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    source = directory / "shift.c"
    source.write_text(SHIFT_C, encoding="ascii")
    library = source.with_suffix(".so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library
