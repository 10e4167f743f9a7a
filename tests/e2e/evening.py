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
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from math import ceil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from doorctl.demo.door import LIMIT_S, Line
from tests.e2e.door import UNHEARD_S, Door
from tests.e2e.hours import in_s
from tests.e2e.people import (
    ALSO_ENTITLED,
    CHILD,
    ENTITLED,
    STOLEN,
    STRANGER,
    THIRD_ENTITLED,
    TODAY,
    blocked,
    write_feed,
)

ZONE = ZoneInfo("Europe/Copenhagen")
PEOPLE = {
    "A": ENTITLED,
    "B": ALSO_ENTITLED,
    "C": THIRD_ENTITLED,
    "STRANGER": STRANGER,
    "STOLEN": STOLEN,
    "CHILD": CHILD,
}
CHANGED = {
    "blocked": blocked("O"),
    "owes": blocked("E"),
    "moved": {"resident": False},
    "home": {},
    "newpin": {"pincode": "8642"},
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
__attribute__((constructor)) static void begin(void) {
    by = mmap(0, sizeof *by, PROT_READ, MAP_SHARED, open(getenv("SHIFT"), O_RDONLY), 0);
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && clock == CLOCK_REALTIME) at->tv_sec += *by;
    return failed;
}
"""


def coming(month: int, day: int) -> date:
    """Return the next such date after today."""
    found = TODAY.replace(month=month, day=day)
    return found if found > TODAY else found.replace(year=found.year + 1)


def begins(when: str) -> datetime:
    """Return when an evening begins: now, in so many hours, or at a local time of a date."""
    if not when or when[0] == "+":
        return datetime.now(ZONE) + timedelta(hours=float(when or 0))
    day, _, time_of_day = when.partition(" ")
    if day in {"spring", "autumn"}:
        # The last Sunday of March or October, either of 31 days.
        ends = [coming({"spring": 3, "autumn": 10}[day], 31)]
        ends.append(ends[0].replace(year=ends[0].year + 1))
        nights = [end - timedelta(days=(end.weekday() + 1) % 7) for end in ends]
        on = next(night for night in nights if night > TODAY)
    else:
        on = TODAY + timedelta(days=1) if day == "tomorrow" else coming(*map(int, day.split("-")))
    return datetime.combine(on, clock_time.fromisoformat(time_of_day), ZONE)


class Evening(Door):
    """A door whose clock, and that of its commands, is set from outside; it plays a script."""

    library = Path()

    def set_clock(self, at: datetime) -> None:
        """Have it be that time, for all that runs and is started."""
        self.now = at
        by = ceil((at - datetime.now(UTC)).total_seconds())
        with (self.directory / "shift").open("r+b") as file:
            file.write(struct.pack("@q", by))

    def command(self, *words: str, module: str = "doorctl") -> list[str]:
        """Lay the clock over a process."""
        over = (f"LD_PRELOAD={self.library}", f"SHIFT={self.directory / 'shift'}")
        return ["env", *over, *super().command(*words, module=module)]

    def start_door(self) -> Line:
        """Start it, and remember it for its pulses."""
        ready = super().start_door()
        self.pids = [*getattr(self, "pids", ()), self.pid]
        return ready

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
                else:
                    DEEDS[deed](self, what)
            elif word[0] == "?":
                event, _, what = word[1:].partition("=")
                known = {"kind": what} if event == "alarm" else {"state": what}
                self.wait_for(event, timeout_s=LIMIT_S, **known)
            else:
                (self.press if len(word) in {1, 4} else self.press_heard)(word)

    def _when(self, word: str) -> datetime:
        if word[0] == "+":
            return (self.now.astimezone(UTC) + timedelta(minutes=int(word[1:]))).astimezone(ZONE)
        at = datetime.combine(self.now, clock_time.fromisoformat(word), ZONE)
        return at if at > self.now else at + timedelta(days=1)

    def unheard(self, keys: str) -> None:
        """Press keys that nobody awaits."""
        self.press(keys)
        time.sleep(UNHEARD_S)

    def tell(self, *words: str) -> None:
        """Have staff give a command, about A if about anybody."""
        done = self.call(*words, stdin=f"{ENTITLED.number}\n")
        assert done.returncode == 0, done.stderr

    def load(self, what: str) -> None:
        """Load changes of A, or a full register without."""
        now = () if what == "gone" else (replace(ENTITLED, row=CHANGED[what]),)
        child = replace(CHILD, row={"birthday": f"{coming(6, 14).year - 14}-06-15"})
        feed = write_feed(self.directory / "feed", (*now, ALSO_ENTITLED, child))
        self.tell("patrons", "load", str(feed), "--full", "--approved-by", "B. Hansen")

    def freeze(self) -> None:
        """Have the process stand still for a while."""
        os.kill(self.pid, signal.SIGSTOP)
        time.sleep(UNHEARD_S)
        os.kill(self.pid, signal.SIGCONT)

    def files(self, name: str, content: bytes | None) -> None:
        """Lose a database, or have it overwritten."""
        for file in self.directory.glob(f"{name}*"):
            file.unlink() if content is None else file.write_bytes(content)


COMMANDS = {
    "ban": ("bans", "add", "-", "--reason", "uro"),
    "lift": ("bans", "lift", "1"),
    "restrict": ("subject", "restrict", "-"),
    "unrestrict": ("subject", "unrestrict", "-"),
    "erase": ("subject", "erase", "-"),
    "lockdown": ("mode", "set", "lockdown", "--reason", "threat", "--until", in_s(36000)),
    "calm": ("mode", "end"),
}
DEEDS: dict[str, Callable[[Evening, str], object]] = {
    "lean": lambda at, keys: at.unheard(keys),
    "worn": lambda at, _: at.reader.send(b";92081004010170????\r"),
    "swipe": lambda at, _: at.reader.send(ENTITLED.swipe),
    "load": lambda at, what: at.load(what),
    "cut": lambda at, _: at.signalled(signal.SIGKILL),
    "stop": lambda at, _: at.signalled(signal.SIGTERM),
    "start": lambda at, _: at.start_door(),
    "pull": lambda at, name: getattr(at, name).pull(),
    "plug": lambda at, name: getattr(at, name).put_in(),
    "freeze": lambda at, _: at.freeze(),
    "lose": lambda at, name: at.files(name, None),
    "zero": lambda at, name: at.files(name, bytes(8192)),
    "open": lambda at, _: at.contact(open=True),
    "shut": lambda at, _: at.contact(open=False),
    "other": lambda at, is_open: at.other_door(open=bool(is_open)),
    "exit": lambda at, _: at.press_exit(),
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
