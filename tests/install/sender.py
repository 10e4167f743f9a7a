"""The library's server, on this machine: invented patrons, pushed to the guest by HTTPS."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.install.pages import ROOT, edited

BRANCH, WEB_PORT = "oest", 8080
LOADED, PUSHED = "3000001234", "3000005678"
"""The card that the branch was begun with, and the one that it learns by a push."""

PIN = "4711"
SEAL = "[seal]\nmemory_kib = 1024\niterations = 1\n"
"""Cheap, for an emulated processor's sake."""


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
        port: by which the guest's web process, which is at `WEB_PORT` there, is reached.
        prefix: what brings a command into the guest's network.
    """

    def __init__(self, directory: Path, port: int, prefix: Sequence[str] = ()) -> None:
        self._directory, self._port, self._prefix = directory, port, prefix
        self._config = directory / "sync.toml"
        if directory.exists():
            return
        (directory / "exports").mkdir(parents=True)
        keys = (
            f"[secrets]\ninstallation_key_file = {self._named('installation.key')}\n{SEAL}[sync]\n"
            f"feed = {self._named('exports')}\nsigning_key_file = {self._named('signing.key')}\n"
            f"state_directory = {self._named('state')}\n"
        )
        example = (ROOT / "config/sync.toml").read_text(encoding="utf-8")
        self._config.write_text(edited(example, keys), encoding="utf-8")
        self._without_branch()
        self._doorctl("init")

    def pair(self, request: bytes, code: str) -> bytes:
        """Answer a branch's request; RuntimeError says why it is refused."""
        self._without_branch()
        file, out = self._directory / "request", self._directory / "answer"
        file.write_bytes(request)
        exit_code, text = self._doorctl("pair", str(file), "--out", str(out), typed=code)
        if exit_code:
            raise RuntimeError(text)
        told = self._config.read_text(encoding="utf-8")
        self._config.write_text(told.replace(f":{WEB_PORT}", f":{self._port}"), encoding="utf-8")
        return out.read_bytes()

    def push(self, patrons: int, *options: str) -> tuple[int, str]:
        """Push some patrons, two of whom have the cards above; return exit code and output."""
        cards = (LOADED, PUSHED, *(f"31{number:08}" for number in range(patrons - 2)))
        rows = (row(1001 + number, card) for number, card in enumerate(cards))
        (self._directory / "exports/patrons-full.ndjson").write_text("".join(rows), "utf-8")
        return self._doorctl("push", *options)

    def _without_branch(self) -> None:
        text, _, _ = self._config.read_text(encoding="utf-8").partition("[[sync.targets]]")
        self._config.write_text(text, encoding="utf-8")

    def _named(self, name: str) -> str:
        return f'"{self._directory / name}"'

    def _doorctl(self, command: str, *options: str, typed: str = "") -> tuple[int, str]:
        call = "from doorctl.cli.app import main; main()"
        words = ("sync", command, "--config", str(self._config), *options)
        done = subprocess.run(
            [*self._prefix, sys.executable, "-c", call, *words],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr
