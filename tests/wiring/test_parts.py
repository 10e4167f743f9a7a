"""What is built: rules of the pure rooms, rounds of web, and what a process keeps in memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from doorctl.access.calendar import DaySource, StoredCalendar
from doorctl.access.day import DayRules
from doorctl.access.messages import PadRules
from doorctl.access.patron import CacheStamp
from doorctl.access.policy import WeakPin
from doorctl.config import Config, load
from doorctl.core.moments import BootTime, CarriedTime, KeptReadings
from doorctl.doord.self_test import rules
from doorctl.extras.extra import JobParts
from doorctl.lookup.calendar import calendar_of
from doorctl.lookup.configured import outdated, retention, system_clock, work_directory
from doorctl.ops.clock import BUILD_FLOOR, utc_now
from doorctl.rpc.library import LibraryOverSocket
from doorctl.rpc.question import Answers
from doorctl.rpc.server import ControlServer
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter, open_or_create_branch
from doorctl.store.visits import VisitStore, create_visits
from doorctl.wiring.door import day_rules
from doorctl.wiring.web import start_jobs
from doorctl.wiring.web_answers import answers_of_library
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import MemoryPatrons
from tests.fakes.waiting import LIMIT_S
from tests.services.branches import configured
from tests.sources.website_server import WebsiteScript, item, serving
from tests.store.samples import key_of, sealed

BASE = """
[branch]
name = "Randers Bibliotek, Øst"
id = "oest"
isil = "DK-773000"
[reader]
port = "/dev/x"
[gpio]
factory = "mock"
"""


def config_of(directory: Path, *overrides: str, toml: str = "") -> Config:
    """Return a whole configuration that stores in `directory`."""
    written = directory / "doorctl.toml"
    written.write_text(BASE + toml, encoding="utf-8")
    return load(written, (f"storage.directory={directory}", *overrides), environment={})


def test_every_rule_comes_from_its_own_key(tmp_path: Path) -> None:
    """No two values could be mixed up, and none left at its default unnoticed."""
    config = config_of(
        tmp_path,
        "policy.require_pin=false",
        "policy.require_resident=true",
        'policy.deny_blocks=["O", "E"]',
        "policy.deny_other_blocks=false",
        "policy.minimum_age=9",
        "policy.max_cache_age_h=7",
        "policy.pin_length=6",
        "keypad.digit_timeout_s=4",
        "keypad.total_timeout_s=12",
        "policy.duress=true",
        "policy.companions_max=3",
        "policy.code_entry=true",
        "panel.keypad=true",
        'door.long_release_tags=["WHEELCHAIR"]',
        "policy.weak_pin=warn",
        'policy.first_card=["cleaner"]',
    )

    assert rules(config).policy is config.policy
    assert config.policy.max_cache_age == timedelta(hours=7)
    assert config.policy.weak_pin is WeakPin.WARN
    assert rules(config).branch == "oest"
    assert rules(config).pad == PadRules(6, 4.0, 12.0)
    assert rules(config).policy.companions_max == 3
    assert rules(config).policy.code_entry
    assert rules(config).long_release_tags == ("WHEELCHAIR",)


def test_the_rules_of_the_day_come_from_their_own_keys(tmp_path: Path) -> None:
    """No warning is taken for the end of entry."""
    config = config_of(tmp_path, "closing.no_entry_min=10", "closing.warn_min=[20, 5]")

    assert day_rules(config) == DayRules(warn_min=(20, 5), no_entry_min=10)


def test_files_stand_in_the_storage_directory(tmp_path: Path) -> None:
    """Under their fixed names; a driver's own files go to systemd's directory if there is one."""
    config = config_of(tmp_path, "visits.retention_days=14")

    assert config.storage.patrons_db == tmp_path / "patrons.db"
    assert config.storage.visits_db == tmp_path / "visits.db"
    assert work_directory(config, {}) == tmp_path
    assert work_directory(config, {"RUNTIME_DIRECTORY": "/run/doorctl"}) == Path("/run/doorctl")
    assert retention(config) == timedelta(days=14)


@pytest.mark.parametrize("content", [None, b"no database at all"])
def test_without_a_door_log_time_begins_at_dawn(tmp_path: Path, content: bytes | None) -> None:
    """A missing or damaged log keeps no clock from being made."""
    config = config_of(tmp_path)
    if content is not None:
        config.storage.visits_db.write_bytes(content)

    assert system_clock(config).moment().high_water >= BUILD_FLOOR


def test_the_clock_never_undercuts_the_time_on_record(tmp_path: Path) -> None:
    """What was trusted before a reboot is known to be past."""
    config = config_of(tmp_path)
    recorded = datetime(2126, 1, 1, tzinfo=UTC)
    create_visits(config.storage.visits_db)
    store = VisitStore(config.storage.visits_db)
    store.keep_time(recorded, BootTime("boot-1", 1000))
    store.close()

    assert system_clock(config).moment().high_water >= recorded


@pytest.mark.parametrize("wary", [True, False])
@pytest.mark.parametrize(("off", "in_doubt"), [(timedelta(0), False), (timedelta(days=2), True)])
def test_each_clock_of_the_machine_takes_up_what_the_door_knew(
    tmp_path: Path, off: timedelta, *, in_doubt: bool, wary: bool
) -> None:
    """Web and commands judge the time by the door's record; a web that restarts purges nothing."""
    config = config_of(tmp_path, "clock.trust=always")
    boot = system_clock(config).boot_time()
    create_visits(config.storage.visits_db)
    with closing(VisitStore(config.storage.visits_db)) as store:
        accepted = utc_now() - off, timedelta(milliseconds=boot.ms)
        store.keep_clock(KeptReadings(boot.boot_id, accepted))

    moment = system_clock(config, wary=wary).moment()

    assert (moment.in_doubt, moment.stepped) == (in_doubt, in_doubt)


def test_each_clock_of_the_machine_carries_on_what_the_door_has_carried(tmp_path: Path) -> None:
    """Over a reboot, with all that this boot has run: so a machine that restarts daily purges too.

    An attempt is dated no earlier than that.
    """
    config = config_of(tmp_path, "clock.trust=auto")
    believed, carried = datetime(2126, 1, 1, tzinfo=UTC), datetime(2126, 1, 20, tzinfo=UTC)
    create_visits(config.storage.visits_db)
    with closing(VisitStore(config.storage.visits_db)) as store:
        store.keep_time(believed, BootTime("boot-1", 1000))
        store.keep_carried(CarriedTime(believed, carried, BootTime("boot-1", 9000)))

    clock = system_clock(config)
    ran, moment = timedelta(milliseconds=clock.boot_time().ms), clock.bounded()

    assert moment.bounds is not None
    assert moment.bounds.carried.believed == believed
    assert moment.bounds.carried.now - carried >= ran - timedelta(minutes=1)
    assert moment.dependable or moment.local >= carried + ran


@pytest.mark.parametrize(("epoch", "age", "told"), [(0, 99, False), (7, 15, False), (7, 99, True)])
def test_a_cache_for_another_age_limit_is_told(
    tmp_path: Path, epoch: int, age: int, told: bool
) -> None:
    """With both what it was sealed for and what to do; an empty cache is for any."""
    config = config_of(tmp_path, "policy.minimum_age=15")
    advice = outdated(CacheStamp(epoch, None, age, 3), config)

    assert (advice is not None) is told
    if advice is not None:
        assert "99" in advice
        assert "load the full feed again" in advice


OPEN_HOURS = """
[hours]
monday = ["08:00-22:00"]
"""


class Watched(FakeEventLog):
    """A log that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Keep one line."""
        super().emit(event, **fields)
        if self.lines:
            self.heard.set()


class Web:
    """What the web process gives its rounds: a clock, a log, and one thread for the store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.log = Watched()
        self.written = threading.Event()

    def config(self, toml: str) -> Config:
        """Load a configuration."""
        return config_of(self.directory, toml=toml)

    @contextmanager
    def running(self, config: Config) -> Iterator[None]:
        """Go the rounds until the end of the block."""
        with ThreadPoolExecutor(1) as worker:
            writer = worker.submit(open_or_create_branch, config.storage.branch_db).result()

            def write(job: Callable[[BranchRecordsWriter], object]) -> None:
                worker.submit(job, writer).result()
                self.written.set()

            with ExitStack() as stack:
                start_jobs(JobParts(config, self.clock, self.log, write, stack))
                yield
            worker.submit(writer.close).result()

    def stored(self, config: Config) -> StoredCalendar:
        """Return what is stored."""
        with closing(BranchRecords(config.storage.branch_db)) as branch:
            return branch.calendar()


@pytest.fixture
def web(tmp_path: Path) -> Web:
    """Return a web process without its server."""
    return Web(tmp_path)


def await_text(file: Path, text: str) -> None:
    """Wait until a file says something."""
    for _ in range(int(LIMIT_S / 0.02)):
        if file.exists() and file.read_text() == text:
            return
        threading.Event().wait(0.02)
    raise AssertionError(file.read_text() if file.exists() else "there is no such file")


def threads() -> set[str]:
    """Return the names of the threads."""
    return {one.name for one in threading.enumerate()}


def test_the_websites_hours_reach_the_file(web: Web) -> None:
    """Asked over HTTP on one thread, stored on another, read back as the door does."""
    today = START.date()
    script = WebsiteScript([item(today + timedelta(days=one)) for one in range(20)])
    with serving(script) as url:
        config = web.config(
            f'[hours]\nsource = "website"\nwebsite_url = "{url}"\nwebsite_branch = "12"\n'
        )
        with web.running(config):
            assert web.written.wait(LIMIT_S)

    calendar = calendar_of(config.opening, web.stored(config))
    assert calendar.known_until == today + timedelta(days=14)
    assert calendar.mode_at(web.clock.moment().local) is not None
    assert web.log.lines == []
    assert "hours" not in threads()


def test_holidays_reach_the_file(web: Web) -> None:
    """Computed in a process of their own and stored at the start."""
    config = web.config(f'{OPEN_HOURS}holidays = "closed"\n')
    with web.running(config):
        assert web.written.wait(LIMIT_S)

    said = web.stored(config).sources[DaySource.HOLIDAY]
    assert {"Juledag", "Nytårsdag"} < {one.note for one in said.days}


def test_a_command_is_told_on_or_off(web: Web) -> None:
    """Behind its own arguments; an output on a pin is the door's and is left alone."""
    told = web.directory / "told"
    script = web.directory / "switch"
    script.write_text('#!/bin/sh\necho "$*" >"$1"\n')
    script.chmod(0o700)
    config = web.config(
        f'{OPEN_HOURS}[[outputs]]\nname = "pcs"\ncommand = ["{script}", "{told}"]\n'
        'modes = ["self_service"]\n[[outputs]]\nname = "light"\npin = 12\nmodes = ["closed"]\n'
    )
    with web.running(config):
        await_text(told, f"{told} on\n")
        web.clock.advance(3 * 3600.0)
        await_text(told, f"{told} off\n")

    assert web.log.lines == []


def test_a_command_that_fails_is_an_alarm(web: Web) -> None:
    """With the output's name and why."""
    config = web.config(
        f'{OPEN_HOURS}[[outputs]]\nname = "pcs"\ncommand = ["/bin/false"]\nmodes = ["closed"]\n'
    )
    with web.running(config):
        assert web.log.heard.wait(LIMIT_S)

    line = {"event": "alarm", "kind": "output_failing", "why": "pcs: it ended with 1"}
    assert web.log.lines == [line]


@pytest.mark.parametrize("toml", ["", OPEN_HOURS, f'{OPEN_HOURS}holidays = "ignore"\n'])
def test_where_nothing_is_wanted_nothing_runs(web: Web, toml: str) -> None:
    """Hours of the configuration or of staff need no round, and no thread."""
    config = web.config(toml)
    before = threads()
    with ExitStack() as stack:
        start_jobs(JobParts(config, web.clock, web.log, lambda _job: None, stack))
        assert threads() == before


HANGS_S = 20.0
MISSING = "can't be read: No such file or directory"
DAY = date(2026, 3, 1)


def built(
    directory: Path, worker: ThreadPoolExecutor, writer: MemoryPatrons, log: FakeEventLog
) -> Answers:
    """Return what web answers on a branch that asks FBS, with little patience for its disk."""
    config = configured(
        directory,
        "lms.kind=fbs",
        "lms.url=https://127.0.0.1:1/",
        "lms.agency=DK-773000",
        "lms.user=doorctl",
        f"lms.password_file={directory / 'lms.password'}",
    )
    return answers_of_library(config, FakeClock(), log, worker=worker, writer=writer, limit_s=0.05)


def test_without_its_password_web_goes_on(tmp_path: Path) -> None:
    """It answers nothing about cards, and one alarm says which file it is."""
    log = FakeEventLog()
    with ThreadPoolExecutor(1) as worker:
        assert built(tmp_path, worker, MemoryPatrons(), log) == {}

    (line,) = log.lines
    assert (line["kind"], line["why"]) == ("library_silent", f"{tmp_path}/lms.password {MISSING}")


def test_a_disk_that_hangs_keeps_no_thread_of_the_socket(tmp_path: Path) -> None:
    """The door hears that the row was not kept, and it is not kept behind its back.

    Bug (robustness review): a disk that hung held every thread that wrote `branch.db` or kept a
    row for ever.
    """
    (tmp_path / "lms.password").write_text("a-Secret~1\n")
    (tmp_path / "lms.password").chmod(0o600)
    writer, log, gate = MemoryPatrons(), FakeEventLog(), threading.Event()
    with ThreadPoolExecutor(1) as worker:
        worker.submit(gate.wait, HANGS_S)
        server = ControlServer(tmp_path / "s", built(tmp_path, worker, writer, log))
        server.start()
        try:
            door = LibraryOverSocket(tmp_path / "s", HANGS_S, log)
            door.keep(sealed(1, "ref-1"), row_until=DAY, pin_until=DAY, learnt_on=DAY)
        finally:
            gate.set()
            server.stop()

    (line,) = log.lines
    assert line["kind"] == "not_kept"
    assert line["why"] == "the disk is busy and nothing was changed; try again in a minute"
    assert writer.find(key_of(1)) is None


SWIPES = """
import json, re, threading
from doorctl.ops.memory import return_large_blocks
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey
from doorctl.store.sealer import ArgonSealer

def resident_kib():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\\s+(\\d+)", status.read())[1])

def swipe():
    sealer = ArgonSealer(InstallationKey(bytes(32)))
    for _ in range(3):
        sealer.stretch(Identifier(IdentifierKind.CARD, "3000001234"))

return_large_blocks()
before = resident_kib()
worker = threading.Thread(target=swipe)
worker.start()
worker.join()
print(json.dumps(resident_kib() - before))
"""

COLLECTOR = """
import gc, json, weakref
from doorctl.ops.memory import spare_the_collector
class Loop: pass
loop = Loop()
loop.itself = loop
seen = weakref.ref(loop)
del loop
spare_the_collector()
frozen = gc.get_freeze_count() > 1000 > len(gc.get_objects())
print(json.dumps([seen() is None, frozen, gc.isenabled()]))
"""


DOOR = """
import json, sys
import doorctl.cli.processes
too_early = "asyncio" in sys.modules
from doorctl.ops.memory import do_without_tls
do_without_tls()
import doorctl.wiring.door
print(json.dumps([too_early, "asyncio" in sys.modules, "_ssl" in sys.modules]))
"""

LOADED = """
import json, sys
import ssl
from doorctl.ops.memory import do_without_tls
do_without_tls()
print(json.dumps(sys.modules["ssl"] is ssl))
"""

WEB_MODULES = """
import json, sys
import doorctl.wiring.web
print(json.dumps(sorted(sys.modules)))
"""

NOT_WEBS = {
    "apscheduler",
    "authlib",
    "cryptography",
    "doorctl.doord.controller",
    "doorctl.doord.door_driver",
    "gpiozero",
    "holidays",
    "httpx2",
    "serial",
}
"""What only the door, the sender, or some branches' web processes need."""


def test_the_memory_of_a_swipe_is_given_back() -> None:
    """After swipes at the default cost the process holds none of Argon2's 19 MiB any more.

    Bug (benchmark): glibc kept Argon2's 19 MiB after every swipe: 61 MB instead of 42.
    """
    grown_kib = _told_by(SWIPES)

    assert isinstance(grown_kib, int)
    assert grown_kib < 5 * 1024


def test_the_collector_leaves_alone_what_lives_for_ever() -> None:
    """What the start made is collected once and then out of the collector's sight; it stays on."""
    assert _told_by(COLLECTOR) == [True, True, True]


def test_the_door_loads_no_tls() -> None:
    """It has no network; asyncio, which its libraries bring, does without where there is none.

    Bug (benchmark): the door, without a network, held asyncio's TLS: 1.2 MB; each purge left
    SQLite's cache: 1.4 MB.
    """
    assert _told_by(DOOR) == [False, True, False]


def test_tls_that_is_loaded_already_stays() -> None:
    """Whoever runs the door inside another program does not lose it."""
    assert _told_by(LOADED) is True


def test_the_web_process_loads_nothing_for_others() -> None:
    """What it does not use costs megabytes all the same."""
    loaded = _told_by(WEB_MODULES)

    assert isinstance(loaded, list)
    assert NOT_WEBS & set(loaded) == set()


def _told_by(program: str) -> object:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return json.loads(done.stdout)
