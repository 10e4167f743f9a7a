"""What commands are played with that need more than words: a backup, a pairing, two releases."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from doorctl.admin import upgrade
from doorctl.rpc.messages import Line
from doorctl.rpc.server import ControlServer
from doorctl.store.kept import FOLDER
from tests.rpc.serving import plain
from tests.web.certificates import Authority

MACHINE = """
[backup]
directory = "BASE/backups"
recipients = ["{recipient}"]
[web.tls]
certificate_file = "BASE/etc/branch.pem"
key_file = "BASE/etc/branch.key"
"""
ANSWERS = """
[branch]
name = "Trial, renamed"
[setup]
language = "en"
certificate = "keep"
"""
SYSTEMCTL = """#!/bin/sh
case $1 in show) echo ActiveState=active ;; esac
"""
"""What stands for systemd: whatever is asked for is done, and runs."""

MAKES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "setup": frozenset({"door.toml", "setup-record.txt"}),
        "keys reader": frozenset({"reader.key"}),
        "keys adopt": frozenset({"installation.key", "installation.key.next"}),
        "pair begin": frozenset({"pairing.secret"}),
        "sync pair": frozenset({"sync.toml", "pairings.json", "branch-trial.pem"}),
        "pair finish": frozenset(
            {"door.toml", "pairing.secret", "signing.pub", "installation.key"}
        ),
        "restore": frozenset({"door.toml", "installation.key", "installation.key.next"}),
    }
)
"""What a command may make or change beside the configuration, which is root's."""


def lay_inputs(etc: Path) -> str:
    """Make certificates and a backup's key; return what the branch's configuration says of them."""
    Authority(etc, "authority").issue("branch")
    made = subprocess.run(["age-keygen", "-o", etc / "age.key"], check=True, capture_output=True)
    (etc / "answers.toml").write_text(ANSWERS, encoding="utf-8")
    recipient = made.stderr.decode().split()[-1]
    return MACHINE.format(recipient=recipient)


def lay_releases(base: Path) -> None:
    """Make two releases, the old one in use, and a systemctl beside them."""
    for release in ("old", "new"):
        (base / "opt" / "releases" / release / "systemd").mkdir(parents=True)
    (base / "bin").mkdir()
    (base / "bin" / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
    (base / "bin" / "systemctl").chmod(0o755)
    use_old(base)


def use_old(base: Path) -> None:
    """Have the old release in use, and nothing begun."""
    home = base / "opt"
    (home / "current").unlink(missing_ok=True)
    (home / "current").symlink_to("releases/old")
    (home / "upgrade.json").unlink(missing_ok=True)
    shutil.rmtree(home / FOLDER, ignore_errors=True)


def become_release(base: Path) -> None:
    """Have this process be one of the releases, on a machine whose systemctl is ours."""
    sys.prefix = str(base / "opt" / "releases" / "new")
    os.environ["PATH"] = f"{base / 'bin'}:{os.environ['PATH']}"
    upgrade.TRIAL_S = 0.0


def unended(base: Path) -> list[str]:
    """Return what an upgrade has left undone."""
    names = ("upgrade.json", FOLDER, "current.new")
    return [name for name in names if os.path.lexists(base / "opt" / name)]


def answer_self_tests(base: Path) -> Callable[[], None]:
    """Have a process answer as the door does; the new release's self-test fails on demand.

    Returns what ends it.
    """
    failing, current = base / "run" / "failing", base / "opt" / "current"
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)

        def answer(_line: Line) -> dict[str, object]:
            fails = failing.exists() and current.readlink().name == "new"
            return {"findings": [{"check": "trial", "ok": not fails}]}

        server = ControlServer(base / "run" / "door.sock", plain({"selftest": answer}))
        server.start()
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)

    def end() -> None:
        os.close(writing)
        os.waitpid(child, 0)

    return end
