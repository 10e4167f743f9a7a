"""The library's server, on this machine: invented patrons, pushed to the guest by HTTPS."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.install.readme import README, ROOT, edited

BRANCH = "oest"
LOADED, PUSHED = "3000001234", "3000005678"
"""The card that the branch was begun with, and the one that it learns by a push."""

PIN = "4711"
SEAL = "[seal]\nmemory_kib = 1024\niterations = 1\n"
"""Cheap, for an emulated processor's sake."""


def certificates() -> list[str]:
    """Return systemd/README.md's commands that make them, for this folder and this machine."""
    page = README.read_text(encoding="utf-8")
    for there, here in (("/etc/doorctl/", ""), ("/root/", ""), ("3072", "2048")):
        page = page.replace(there, here)
    lines = page.replace("oest.example", "localhost").splitlines()
    return [line for line in lines if line.startswith("openssl ")]


def row(patron: int, card: str) -> str:
    """Return an invented patron as a row of an export."""
    person = {
        "patronId": patron,
        "identifiers": [{"identifier": card, "identifierType": "CARD", "status": "ACTIVE"}],
        "pincode": PIN,
        "resident": True,
        "birthday": "1970-01-02",
    }
    return json.dumps(person) + "\n"


class Sender:
    """Who pushes to the guest.

    Args:
        directory: is made, or stays as the last run left it; for keys, configuration and export.
        port: by which the guest's web process is reached.
        prefix: what brings a command into the guest's network.
    """

    def __init__(self, directory: Path, port: int, prefix: Sequence[str] = ()) -> None:
        self._directory, self._prefix = directory, prefix
        if directory.exists():
            return
        directory.mkdir(parents=True)
        example = (ROOT / "config/sync.toml").read_text(encoding="utf-8")
        keys = (
            f"[secrets]\ninstallation_key_file = {self._named('installation.key')}\n{SEAL}[sync]\n"
            f"feed = {self._named('exports')}\nsigning_key_file = {self._named('signing.key')}\n"
            f"state_directory = {self._named('state')}\n[[sync.targets]]\n"
            f'branch = "{BRANCH}"\nurl = "https://localhost:{port}"\n'
            f"ca_file = {self._named('branches-ca.pem')}\nkey_file = {self._named('sender.key')}\n"
            f"certificate_file = {self._named('sender.pem')}\n"
        )
        (directory / "sync.toml").write_text(edited(example, keys), encoding="utf-8")
        (directory / "exports").mkdir()
        for line in certificates():
            subprocess.run(shlex.split(line), cwd=directory, check=True, capture_output=True)

    def file(self, name: str) -> str:
        """Return what stands in one of its files."""
        return (self._directory / name).read_text(encoding="utf-8")

    def begin(self, key: bytes) -> None:
        """Take the branch's installation key, and make what signs a push."""
        (self._directory / "installation.key").write_bytes(key)
        (self._directory / "installation.key").chmod(0o600)
        self._doorctl("init")

    def push(self, patrons: int, *options: str) -> tuple[int, str]:
        """Push some patrons, two of whom have the cards above; return exit code and output."""
        cards = (LOADED, PUSHED, *(f"31{number:08}" for number in range(patrons - 2)))
        rows = (row(1001 + number, card) for number, card in enumerate(cards))
        (self._directory / "exports/patrons-full.ndjson").write_text("".join(rows), "utf-8")
        return self._doorctl("push", *options)

    def _named(self, name: str) -> str:
        return f'"{self._directory / name}"'

    def _doorctl(self, command: str, *options: str) -> tuple[int, str]:
        call = "from doorctl.cli.app import main; main()"
        words = ("sync", command, "--config", str(self._directory / "sync.toml"), *options)
        done = subprocess.run(
            [*self._prefix, sys.executable, "-c", call, *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr
