"""Follows the page, block by block: a branch and a server that nobody prepared."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from tests.install.machine import Machine, own_network, unified_cgroups
from tests.install.readme import README, ROOT, Block, blocks

BRANCH, SERVER = "oest.example", "server"
HOSTS = {"branch": BRANCH, "server": SERVER}
EDITS = {"/etc/doorctl/doorctl.toml": '[gpio]\nfactory = "mock"\n'}
"""What is typed in the editor besides what the page shows: this trial has no Pi's pins."""

LOOK = """
from ssl import create_default_context as trust
from urllib.request import urlopen
page = urlopen("https://oest.example:8080/", context=trust(cafile="/etc/doorctl/branches-ca.pem"))
print(page.status, page.url)
"""
"""Opens the branch's page as a browser does, by a certificate that the page's commands made."""

PLUGS = """
import os, pty, sys
os.makedirs("/dev/serial/by-id")
lines = {}
for name, link in (("reader", "usb-CARD_READER-if00-port0"), ("keypad", "usb-KEYPAD-if00-port0")):
    lines[name], end = pty.openpty()
    os.chmod(os.ttyname(end), 0o666)
    os.symlink(os.ttyname(end), "/dev/serial/by-id/" + link)
for line in sys.stdin:
    name, text = line.split()
    os.write(lines[name], text.encode() + b"\\r" * (name == "reader"))
"""
"""What has a reader and a keypad plugged in, and swipes and types what it is told."""

CARD, PIN = "3000001234", "4711"
"""The patron of doorctl/sync/README.md, which is all that the feed here holds."""

TYPED_S = 3.0
DOOR_LOG = "journalctl -b -o cat -u doorctl-door"
OWN_USERS = (
    "for one in door web; do pid=$(systemctl show -P MainPID doorctl-$one);"
    " stat -c %U /proc/$pid | grep -x doorctl-$one; done"
)
AFTERWARDS = {
    "branch": (
        "systemctl is-active doorctl-door doorctl-web",
        OWN_USERS,
        f"{DOOR_LOG} | grep ready",
        "journalctl -b -o cat -u doorctl-web | grep applied",
        f"timeout 30 sh -c 'until {DOOR_LOG} | grep granted; do sleep 1; done'",
        "doorctl visits list --json | grep granted",
        "systemctl restart doorctl-door doorctl-web",
        "doorctl status",
    ),
    "server": (
        f"python3 -c {shlex.quote(LOOK)}",
        "systemctl is-active doorctl-sync.timer doorctl-sync-full.timer",
        "systemctl start doorctl-sync-full",
    ),
}
"""What must be so when the page has been followed; no line of the page's."""


class Trial:
    """A branch and a server, and what the page does to them. One thread."""

    def __init__(self, base: Path, directory: Path, network: subprocess.Popen[str]) -> None:
        self._network = network
        self._plugs: subprocess.Popen[str] | None = None
        self._machines = {
            place: Machine(HOSTS[place], base, directory, network.pid, EDITS) for place in HOSTS
        }
        page = (ROOT / "doorctl/sync/README.md").read_text("utf-8")
        feed = re.search(r'^\{"patronId.*$', page, re.MULTILINE)
        if feed is None:
            raise ValueError("doorctl/sync/README.md has no row of a feed")
        self._machines["branch"].path("FEED.ndjson").write_text(feed[0] + "\n", encoding="utf-8")
        self._feed = feed[0] + "\n"

    def follow(self, page: list[Block]) -> None:
        """Do every block; SystemExit at the first command that fails."""
        booted = set()
        for block in page:
            if block.place == "elsewhere":
                continue
            machine = self._machines[block.place]
            if block.what in {"edit", "file"}:
                self._write(machine, block)
                continue
            if block.what == "running" and block.place == "server" and "server" not in booted:
                booted.add("server")
                self._export(machine)
                timed(machine.name, "(its next boot)", machine.boot)
            for command in block.commands():
                self._do(machine, command)
        self._swipe()
        for place, commands in AFTERWARDS.items():
            for command in commands:
                self._do(self._machines[place], command)

    def _swipe(self) -> None:
        if self._plugs is None or self._plugs.stdin is None:
            raise ValueError("the page has no reboot, which the branch's drivers need")
        for typed in (f"reader {CARD}", *(f"keypad {digit}" for digit in PIN)):
            self._plugs.stdin.write(typed + "\n")
            self._plugs.stdin.flush()
            time.sleep(TYPED_S / len(PIN))

    def end(self) -> None:
        """Switch everything off."""
        for machine in self._machines.values():
            machine.halt()
        self._network.kill()
        self._network.wait()

    def _do(self, machine: Machine, command: str) -> None:
        if command == "reboot":
            timed(machine.name, command, machine.boot)
            self._plugs = machine.start("python3 -uc " + shlex.quote(PLUGS))
            time.sleep(TYPED_S)
        elif command.startswith("scp "):
            timed(machine.name, command, lambda: self._copy(machine, command))
        else:
            timed(machine.name, command, lambda: self._run(machine, command))

    def _run(self, machine: Machine, command: str) -> tuple[int, str]:
        code, text = machine.run(command)
        if code != 0:
            text += machine.run("journalctl -b -n 40 -o cat")[1]
        return code, text

    def _write(self, machine: Machine, block: Block) -> None:
        if block.what == "edit":
            machine.edit(block.path, block.text)
            return
        file = machine.path(block.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        # As `systemctl edit` does, by which the page has it made.
        timed(
            machine.name, f"(writes {block.path})", lambda: machine.run("systemctl daemon-reload")
        )

    def _copy(self, machine: Machine, command: str) -> tuple[int, str]:
        """Do what scp does between the two machines, and what stands behind it."""
        copy, _, then = command.partition(" && ")
        *sources, target = [self._found(machine, word) for word in shlex.split(copy)[2:]]
        for source in sources:
            shutil.copy2(source, target)
        return machine.run(then or "true")

    def _found(self, machine: Machine, word: str) -> Path:
        host, _, path = word.rpartition(":")
        owner = self._machines["branch"] if host == f"root@{BRANCH}" else machine
        return owner.path(path)

    def _export(self, server: Machine) -> None:
        export = server.path("/srv/doorctl/exports/patrons-full.ndjson")
        export.write_text(self._feed, encoding="utf-8")
        with server.path("/etc/hosts").open("a", encoding="utf-8") as hosts:
            hosts.write(f"127.0.0.1 {BRANCH}\n")


def timed(place: str, command: str, do: Callable[[], tuple[int, str]]) -> None:
    """Do a thing and tell what became of it; SystemExit, and all that it printed, if it failed."""
    began_s = time.monotonic()
    code, text = do()
    took_s = time.monotonic() - began_s
    click.echo(f"{'ok' if code == 0 else 'FAIL':4} {took_s:6.1f} s  {place:12}  {command}")
    if code != 0:
        click.echo(text)
        raise SystemExit(1)


def run(base: Path, directory: Path) -> None:
    """Do it all, in namespaces of its own; SystemExit at the first command that fails."""
    unified_cgroups()
    trial = Trial(base, directory, own_network())
    try:
        trial.follow(blocks(README.read_text(encoding="utf-8")))
    finally:
        trial.end()


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
