"""``tests/install/run``: a clean Debian 13 with systemd, booted in QEMU, and the package in it.

Every step is printed with its seconds, and who takes it: a person's are to be ten at most. Root's
umask in it is 027.

Bug (operations review): the installation failed as written on Debian 13, and the server's ended in
"Permission denied".

Bug (the installation, tried by a hardened root): with a umask of 027 the page's commands made a
program that the services could not read, and a load ended in a traceback.
"""

from __future__ import annotations

import base64
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import click

from tests.install.disk import Parts, bare, built
from tests.install.guest import Contained, Guest, Operated, is_on, longest_gap_s, pulses
from tests.install.machine import APART, own_network, unified_cgroups
from tests.install.packages import Repository, broken, built_package
from tests.install.pages import block_that_says, edited
from tests.install.sender import BRANCH, LOADED, PIN, PUSHED, SEAL, Sender, row
from tests.install.sender import WEB_PORT as GUESTS_WEB_PORT
from tests.pi.guest import until

CACHE = Path("/var/tmp/doorctl-guest")  # noqa: S108 - root's, and too big for /tmp
OLD, NEW, BROKEN = "0.3.0~guest1", "0.3.0~guest2", "0.3.0~guest3"
PERSONS_STEPS = 10
RELEASE_S, SLACK_S = 5.0, 0.5
OPENS_S, READY_S = 90.0, 600.0
VISIT_S, FEW = 1.0, 3
DEAF_S, TRIAL_S = 3.0, 66.0
APT_PORT, WEB_PORT = 42217, 42218
"""Between two cards while the version changes."""

CONFIG = "/etc/doorctl/doorctl.toml"
ANSWERS = f"""\
[branch]
name = "Øst"
id = "{BRANCH}"
{SEAL}[reader]
port = "{{reader}}"
[keypad]
port = "{{keypad}}"
[gpio]
factory = "mock"
[setup]
language = "en"
feed = "/root/FEED.ndjson"
certificate = "self-signed"
web_name = "localhost"
"""
"""Debian's kernel for amd64 has no pins and no simulated ones: the relay is the log's word here."""

UNITS = "doorctl-door doorctl-web"
POLICY = "/usr/sbin/policy-rc.d"


@dataclass(slots=True)
class Steps:
    """What was done, and by whom; one line is printed for each."""

    persons: int = 0
    most: int = 0
    failed: list[str] = field(default_factory=list)

    def do(self, what: str, act: Callable[[], str], *, person: bool = False) -> str:
        """Take a step and return what came of it; it fails by RuntimeError or TimeoutError."""
        self.persons += person
        began_s, verdict = time.monotonic(), "ok"
        try:
            seen = act()
        except (RuntimeError, TimeoutError) as error:
            verdict, seen = "FAIL", str(error)
            self.failed.append(what)
        who = f"person {self.persons}" if person else ""
        first = seen.strip().rpartition("\n")[2] if verdict == "ok" else seen
        took_s = time.monotonic() - began_s
        click.echo(f"{verdict:4} {took_s:7.1f} s  {who:9}  {what}: {first}".rstrip(": "))
        return seen


@dataclass(frozen=True, slots=True)
class Room:
    """What every scenario has.

    Args:
        guest: the first machine.
        fresh: boots another machine in its place, with nothing on its disk.
        repository: the machine's.
        sender: who pushes to it.
        packages: where those are kept that were built.
        before: the commit of the version that is upgraded.
    """

    guest: Operated
    fresh: Callable[[], Operated]
    repository: Repository
    sender: Sender
    packages: Path
    before: str


def install(room: Room, steps: Steps, guest: Operated) -> None:
    """From an empty Debian to an open door."""
    room.repository.offer(built_package(OLD, room.packages, room.before))
    _from_the_repository(room, steps, guest)
    steps.do("installing has enabled and started nothing", lambda: _nothing_runs(guest))
    guest.write("/root/FEED.ndjson", row(1001, LOADED))
    answers = ANSWERS.format(reader=guest.reader, keypad=guest.keypad)
    steps.do("a file of answers", lambda: guest.write("answers.toml", answers), person=True)
    setup = "doorctl setup --answers answers.toml"
    steps.do(setup, lambda: _set_up(guest, setup), person=True)
    steps.do("a card and its PIN open", lambda: _opens(guest, LOADED), person=True)
    steps.do("again after a reboot", lambda: _rebooted(guest) or _opens(guest, LOADED))
    steps.do("systemd is content", lambda: _content(guest))
    steps.do("each as its own user", lambda: _own_users(guest))
    steps.do("doorctl status", lambda: _exits(guest, "doorctl status", {0, 3}))
    steps.do("doorctl selftest", lambda: _exits(guest, "doorctl selftest", {0, 3}))


def _from_the_repository(room: Room, steps: Steps, guest: Operated) -> None:
    helper = f"/usr/lib/apt/apt-helper download-file {room.repository.url}doorctl.pgp"

    def known() -> str:
        guest.write("/etc/apt/sources.list.d/doorctl.sources", room.repository.sources())
        return guest.said(f"{helper} /etc/apt/keyrings/doorctl.pgp 2>/dev/null")

    steps.do("the repository's key and address", known, person=True)
    apt = "apt-get update -q && apt-get install -qy doorctl"
    steps.do("apt update && apt install doorctl", lambda: guest.said(apt), person=True)


def push(room: Room, steps: Steps, guest: Operated) -> None:
    """A register pushed by another machine, which was paired by two files and a code."""
    begin = "doorctl pair begin --out request"
    shown = steps.do(begin, lambda: guest.said(begin), person=True)
    code = shown.rpartition(" ")[2]
    steps.do("doorctl sync pair", lambda: _answered(room, guest, code), person=True)
    finish = "doorctl pair finish answer --replace"
    steps.do(finish, lambda: guest.said(finish), person=True)
    again = f"systemctl restart {UNITS}"
    steps.do(again, lambda: guest.said(again), person=True)
    # To the guard the register under the old key is one that the push takes out whole.
    approved = ("--approved-by", "tekniker")
    steps.do("a pushed register", lambda: _pushed(room, *approved))
    steps.do("a card that only the push knows opens", lambda: _opens(guest, PUSHED))


def upgrade(room: Room, steps: Steps, guest: Operated) -> None:
    """The next version: forbidden, without a bus, then while somebody comes each second.

    Web has just died then, and is to run again afterwards.
    """
    room.repository.offer(built_package(NEW, room.packages))
    apt = "apt-get update -q && apt-get install -qy --only-upgrade doorctl"
    guest.said(f"printf '#!/bin/sh\nexit 101\n' >{POLICY}; chmod 755 {POLICY}")
    steps.do("policy-rc.d forbids it, so nothing is restarted", lambda: _untouched(guest, apt, 0))
    guest.said(f"rm {POLICY}; systemctl stop dbus.socket dbus.service")
    again = "apt-get install -qy --reinstall doorctl"
    steps.do("without a system bus it can't begin", lambda: _untouched(guest, again, 100))
    steps.do("and an alarm stands", lambda: _alarmed(guest))
    guest.said("systemctl start dbus.socket")
    killed = "systemctl kill -s KILL doorctl-web; sleep 0.5; dpkg --configure -a"
    steps.do("upgrade under swipes, web just killed", lambda: _under_swipes(guest, killed))
    steps.do("the new version runs", lambda: _runs(guest, NEW))
    steps.do("the alarm is over", lambda: _alarmed(guest, over=True))
    steps.do("a card and its PIN open", lambda: _opens(guest, LOADED))


def restore(room: Room, steps: Steps, guest: Operated) -> Operated:
    """The disk is thrown away; a new one has the newest backup put on it, and one push."""
    recipient = guest.said("age-keygen -o backup-key.txt 2>&1").rpartition(" ")[2]
    told = f'[backup]\nrecipients = ["{recipient}"]\n'
    guest.write(CONFIG, edited(guest.said(f"cat {CONFIG}"), told))
    made = "doorctl backup >&2 && ls -t /var/backups/doorctl/* | head -n 1"
    name = steps.do("doorctl backup", lambda: guest.said(made)).rpartition("\n")[2]
    brought = {file: guest.said(f"base64 -w0 {file}") for file in ("backup-key.txt", name)}
    guest.halt()
    new = room.fresh()
    _from_the_repository(room, steps, new)
    for file, packed in brought.items():
        new.put(f"/root/{Path(file).name}", packed)
    new.plug()
    for line in block_that_says("doorctl restore FILE").text.splitlines():
        typed = line.replace("FILE", Path(name).name)
        act = partial(_rebooted, new) if line == "reboot" else partial(new.said, typed)
        steps.do(typed, act, person=True)
    steps.do("a full push", lambda: _pushed(room, "--full"), person=True)
    steps.do("a card and its PIN open", lambda: _opens(new, PUSHED), person=True)
    return new


def rollback(room: Room, steps: Steps, guest: Operated) -> None:
    """A version whose door ends at its start.

    Bug (this scenario): on a disk without a system bus no trial began; the version before ran on
    all the same, so the step was called well.
    """
    before = guest.said("basename $(readlink -f /opt/doorctl/current)")
    room.repository.offer(broken(built_package(BROKEN, room.packages)))
    apt = "apt-get update -q; apt-get install -qy --only-upgrade doorctl; true"
    steps.do("a broken version is taken back", lambda: _under_swipes(guest, apt, TRIAL_S))
    told = "journalctl -t doorctl -o cat | grep 'was not taken into use'"
    steps.do("after a trial", lambda: guest.said(told))
    steps.do("the version before runs", lambda: _runs(guest, before))
    steps.do("a card and its PIN open", lambda: _opens(guest, LOADED))


def remove(_room: Room, steps: Steps, guest: Operated) -> None:
    """Remove keeps what was written; purge takes it away for whoever says yes."""
    gone = "! ls /etc/systemd/system/*.wants/doorctl* /opt/doorctl 2>/dev/null"
    kept = "ls /etc/doorctl/installation.key /var/lib/doorctl/branch.db"
    steps.do(
        "apt remove keeps data, and nothing runs",
        lambda: (
            guest.said(f"apt-get remove -qy doorctl && {gone} && {kept}") and _nothing_runs(guest)
        ),
    )
    yes = "echo doorctl doorctl/delete-data boolean true | debconf-set-selections"
    left = "! ls -d /etc/doorctl /var/lib/doorctl* 2>/dev/null"
    purge = f"apt-get install -qy doorctl && {yes} && apt-get purge -qy doorctl && {left}"
    steps.do("installed again and purged", lambda: guest.said(purge) and "")


SCENARIOS: dict[str, Callable[[Room, Steps, Operated], Operated | None]] = {
    one.__name__: one for one in (install, push, upgrade, restore, rollback, remove)
}


def _nothing_runs(guest: Operated) -> str:
    enabled = guest.run("systemctl list-unit-files --no-legend --state=enabled 'doorctl*'")[1]
    running = guest.run("systemctl list-units --no-legend --state=active 'doorctl*.service'")[1]
    if enabled or running:
        raise RuntimeError(f"enabled: {enabled}; running: {running}")
    return ""


def _set_up(guest: Operated, command: str) -> str:
    guest.plug()
    said = guest.said(command)
    for unit in UNITS.split():
        _wait_for_unit(guest, unit)
    return said


def _rebooted(guest: Operated) -> str:
    guest.reboot()
    for unit in UNITS.split():
        _wait_for_unit(guest, unit)
    return ""


def _wait_for_unit(guest: Operated, unit: str) -> None:
    active = f"systemctl is-active {unit}"
    until(f"{unit} to be active", lambda: guest.run(active)[0] == 0, READY_S, apart_s=1.0)


def _content(guest: Operated) -> str:
    code, text = guest.run("systemctl is-system-running --wait")
    errors = guest.run("journalctl -b -p warning -o cat -u 'doorctl*' | grep -v '^{' | sort -u")[1]
    if code:
        raise RuntimeError(f"{text}\n{guest.run('systemctl --failed --no-legend')[1]}\n{errors}")
    return f"{text}; {errors}" if errors else text


def _own_users(guest: Operated) -> str:
    for unit in UNITS.split():
        pid = guest.said(f"systemctl show -P MainPID {unit}")
        if guest.said(f"stat -c %U /proc/{pid}") != unit:
            raise RuntimeError(f"{unit} is not its own user's")
    return UNITS


def _exits(guest: Operated, command: str, fine: set[int]) -> str:
    code, text = guest.run(command)
    if code not in fine:
        raise RuntimeError(f"exit {code}\n{text}")
    return f"exit {code}"


def _opens(guest: Operated, card: str) -> str:
    until("the relay to be off", lambda: not is_on(guest.log()), OPENS_S, apart_s=0.5)
    before = len(pulses(guest.log()))
    began_s = time.monotonic()
    guest.come(card, PIN)
    until("the relay's pulse", lambda: len(pulses(guest.log())) > before, OPENS_S, apart_s=0.5)
    length_s = pulses(guest.log())[-1][1]
    if not abs(length_s - RELEASE_S) <= SLACK_S:
        raise RuntimeError(f"the relay was on for {length_s:.2f} s")
    return f"relay on for {length_s:.2f} s, seen after {time.monotonic() - began_s:.0f} s"


def _answered(room: Room, guest: Operated, code: str) -> str:
    request = base64.b64decode(guest.said("base64 -w0 request"))
    return guest.put("answer", base64.b64encode(room.sender.pair(request, code)).decode())


def _pushed(room: Room, *options: str) -> str:
    code, text = room.sender.push(200, *options)
    if code:
        raise RuntimeError(text)
    return text.strip().rpartition("\n")[2]


def _under_swipes(guest: Operated, command: str, deaf_s: float = DEAF_S) -> str:
    """Run a command while somebody comes each second; tell how long nobody was let in."""
    over = threading.Event()

    def come() -> None:
        while not over.wait(VISIT_S):
            guest.come(LOADED, PIN)

    since_s = float(guest.said("cut -d' ' -f1 /proc/uptime"))
    coming = threading.Thread(target=come)
    coming.start()
    try:
        until("somebody to be let in", lambda: len(guest.granted_s(since_s)) > FEW, OPENS_S, 1.0)
        told = guest.run(command)[1]
        until_s = float(guest.said("cut -d' ' -f1 /proc/uptime"))
        until("it again", lambda: len(guest.granted_s(until_s)) > FEW, READY_S, 1.0)
    finally:
        over.set()
        coming.join()
    times_s = guest.granted_s(since_s)
    click.echo("\n".join(f"        {line}" for line in told.splitlines()[-6:]))
    usual_s = statistics.median(b - a for a, b in pairwise(times_s))
    was_deaf_s = longest_gap_s(times_s) - usual_s
    seen = f"{len(times_s)} let in, {usual_s:.1f} s apart; deaf for {was_deaf_s:.1f} s"
    if was_deaf_s > deaf_s and guest.in_real_time:
        raise RuntimeError(f"{seen}, {deaf_s:.0f} s at most")
    return seen


def _untouched(guest: Operated, command: str, code: int) -> str:
    """Run a command that may touch no process; return the last line that it says."""
    look = f"readlink /opt/doorctl/current; systemctl show -P MainPID {UNITS}"
    before = guest.said(look)
    ended, text = guest.run(command)
    if ended != code or guest.said(look) != before:
        raise RuntimeError(f"exit {ended}, {before} became {guest.said(look)}: {text}")
    told = [line for line in text.splitlines() if line.startswith("doorctl: ")]
    return f"exit {ended}; {told[-1] if told else 'nothing is said'}"


def _alarmed(guest: Operated, *, over: bool = False) -> str:
    """Wait until an upgrade that did not begin stands as an alarm, or no longer does."""

    def found() -> str:
        lines = guest.run("doorctl status")[1].splitlines()
        return "".join(line for line in lines if "(upgrade_not_begun," in line)

    until("doorctl status to say so", lambda: bool(found()) != over, READY_S, apart_s=2.0)
    return found()


def _runs(guest: Operated, version: str) -> str:
    program = guest.said("readlink -f /opt/doorctl/current")
    for unit in UNITS.split():
        _wait_for_unit(guest, unit)
        pid = guest.said(f"systemctl show -P MainPID {unit}")
        running = guest.said(f"tr '\\0' ' ' </proc/{pid}/cmdline")
        if version not in program or not running:
            raise RuntimeError(f"{program}: {running}")
    return program


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=CACHE, help="What is kept.")
@click.option("--only", multiple=True, type=click.Choice(list(SCENARIOS)), help="Default: all.")
@click.option("--before", default="HEAD", help="The commit of the version that is upgraded.")
@click.option("--contained", is_flag=True, help="In a container, in place of the emulator.")
def run(cache: Path, only: tuple[str, ...], before: str, contained: bool) -> None:
    """Print what became of each step. Exit 1 if one failed.

    Without `install` it goes on with the disk that the last run left; a container begins anew.
    """
    if contained and os.getpid() != 1:
        again = [*APART, sys.executable, "-m", __spec__.name, *sys.argv[1:]]
        sys.exit(subprocess.run(again, check=False).returncode)
    wanted = [name for name in SCENARIOS if name in only or not only]
    directory = cache / ("contained" if contained else "run")
    if contained or "install" in wanted:
        shutil.rmtree(directory, ignore_errors=True)
    steps, began_s = Steps(), time.monotonic()
    around = (
        partial(_contained, bare(cache, click.echo))
        if contained
        else partial(_emulated, built(cache, click.echo))
    )
    with around(directory, cache / "packages", before) as room:
        guest = room.guest
        for name in wanted:
            click.echo(f"-- {name}")
            steps.persons = 0
            guest = SCENARIOS[name](room, steps, guest) or guest
            click.echo(f"   {steps.persons} steps of a person's")
            steps.most = max(steps.most, steps.persons)
        guest.halt()
    minutes = (time.monotonic() - began_s) / 60
    count = f"{steps.most} steps of a person's, {PERSONS_STEPS} at most; {minutes:.0f} min"
    click.echo(f"{count}; failed: {', '.join(steps.failed) or 'none'}")
    sys.exit(bool(steps.failed) or steps.most > PERSONS_STEPS)


@contextmanager
def _emulated(parts: Parts, directory: Path, packages: Path, before: str) -> Iterator[Room]:
    repository = Repository(directory / "repository", APT_PORT)
    sender = Sender(directory / "sender", WEB_PORT)
    with repository.shown(), Guest(parts, directory / "branch", WEB_PORT) as guest:
        fresh = partial(Guest, parts, directory / "new", WEB_PORT)
        yield Room(guest, fresh, repository, sender, packages, before)
        guest.halt()


@contextmanager
def _contained(base: Path, directory: Path, packages: Path, before: str) -> Iterator[Room]:
    unified_cgroups()
    network = own_network()
    prefix = ("nsenter", f"--net=/proc/{network.pid}/ns/net")
    repository = Repository(directory / "repository", APT_PORT, "127.0.0.1")
    sender = Sender(directory / "sender", GUESTS_WEB_PORT, prefix)
    guest = Contained(base, directory / "branch", network.pid)
    try:
        with repository.shown(prefix):
            fresh = partial(Contained, base, directory / "new", network.pid)
            yield Room(guest, fresh, repository, sender, packages, before)
    finally:
        guest.halt()
        network.kill()
        network.wait()


if __name__ == "__main__":
    run()
