"""The library's server for a test: its sender, what the library system exports, and its targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.e2e.door import COMMANDS
from tests.web.branch import Branch
from tests.web.certificates import Authority

CONFIG = """
[branch]
name = "Biblioteket"
id = "sender"
[secrets]
installation_key_file = "{key}"
[seal]
memory_kib = 8
iterations = 1
[clock]
trust = "always"
[sync]
feed = "exports"
signing_key_file = "{signing_key}"
state_directory = "state"
"""


class Sender:
    """A sender in a directory of its own; its keys lie there, or where it is told."""

    def __init__(
        self,
        directory: Path,
        key: Path | str = "installation.key",
        signing_key: Path | str = "signing.key",
        config: str = CONFIG,
    ) -> None:
        self.directory = directory
        self.config = directory / "sync.toml"
        self._text = config.format(key=key, signing_key=signing_key)
        (directory / "exports").mkdir()

    @classmethod
    def of(cls, directory: Path, branch: Branch, authority: Authority) -> Self:
        """Return one that has a branch's own keys, and a certificate for its only target."""
        sender = cls(
            directory, branch.config.secrets.installation_key_file, branch.directory / "push.key"
        )
        certificate, key = authority.issue("sender")
        files = {"ca_file": authority.path, "certificate_file": certificate, "key_file": key}
        url = f"https://127.0.0.1:{branch.port}"
        sender.target({"branch": "demo", "url": url, **files})
        return sender

    def add(self, text: str) -> None:
        """Add a table to the configuration; before :meth:`target`."""
        self._text += text

    def target(self, *targets: Mapping[str, object]) -> None:
        """Push to these from now on."""
        text = self._text
        for target in targets:
            keys = (f'{name} = "{value}"\n' for name, value in target.items())
            text += "".join(["[[sync.targets]]\n", *keys])
        self.config.write_text(text, encoding="utf-8")

    def export(self, name: str, *patrons: Mapping[str, Any]) -> None:
        """Put an export where the sender looks for it."""
        lines = "".join(json.dumps(patron) + "\n" for patron in patrons)
        (self.directory / "exports" / name).write_text(lines, encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        """Return the command line of a command of the sender's."""
        return [sys.executable, "-m", "doorctl", *words, "--config", str(self.config)]

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command, in a fork of a process that has imported it."""
        return COMMANDS.run(self.command(*words)[3:], os.environ)

    def push(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Push and return the report, with each branch under its name."""
        done = self.call("sync", "push", "--json", *words)
        assert done.returncode == code, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return {**report, **{one["branch"]: one for one in report["branches"]}}


def patron(number: int, *, pin: str = "4711") -> dict[str, Any]:
    """An invented row of the library system's export."""
    card = {"identifier": str(3_000_000_000 + number), "identifierType": "CARD", "status": "ACTIVE"}
    row = {"patronId": number, "identifiers": [card], "pincode": pin, "resident": True}
    return {**row, "birthday": "1970-01-01"}
