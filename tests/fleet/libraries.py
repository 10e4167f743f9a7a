"""A municipality's library: a register that changes, and the real command that pushes it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from doorctl.core.ports import Seal
from doorctl.extras.fleet import WebNats
from doorctl.store.keys import create_key, read_key
from doorctl.store.sealer import key_id
from doorctl.store.signing_keys import create_signing_key, read_public_keys
from tests.e2e.sender import CONFIG, Sender, patron
from tests.fleet.doors import Door, Identity, Threads

MEMORY_KIB, ITERATIONS = 8, 1
"""What `CONFIG` seals with: a real seal costs 0.1 s a patron, once."""

LATER = 75
"""Exit code: the same call may do in minutes."""


@dataclass(frozen=True)
class Pushed:
    """A run of the sender: its exit code, when it began (monotonic), what it took in seconds."""

    code: int
    began_s: float
    took_s: float
    processor_s: float
    said: str


class Library:
    """The sender of some doors, whose names begin with its own."""

    def __init__(self, directory: Path, name: str, patrons: int, servers: Iterable[str]) -> None:
        directory.mkdir(parents=True)
        self.name, self.patrons = name, patrons
        self._directory = directory
        self._servers = tuple(servers)
        create_key(directory / "installation.key")
        create_signing_key(directory / "signing.key", directory / "signing.pub")
        self._sender = Sender(directory, config=CONFIG)
        listed = ", ".join(f'"{server}"' for server in self._servers)
        self._sender.add(f"[sync.nats]\nservers = [{listed}]\n")
        self._pins = dict.fromkeys(range(1, patrons + 1), "4711")
        self._first = 1
        self.doors: list[Door] = []

    def open_doors(self, many: int, threads: Threads, first: int) -> None:
        """Make that many doors, which are the sender's targets from now on; none is started."""
        names = [f"{self.name}-{number}" for number in range(many)]
        seal = Seal(key_id(read_key(self._directory / "installation.key")), MEMORY_KIB, ITERATIONS)
        (sender,) = read_public_keys([self._directory / "signing.pub"])
        targets = []
        for number, name in enumerate(names):
            home = self._directory / name
            home.mkdir()
            create_signing_key(home / "answers.key", home / "answers.pub")
            nats = WebNats(servers=self._servers, signing_key_file=home / "answers.key")
            who = Identity(name, seal, sender, home / "answers.key")
            self.doors.append(Door(home, first + number, who, nats, threads))
            targets.append({"branch": name, "via": "nats", "public_key_file": home / "answers.pub"})
        self._sender.target(*targets)

    def change(self, draw: random.Random, many: int) -> None:
        """Have some patrons choose another PIN, and a tenth as many leave and come."""
        for number in draw.sample(sorted(self._pins), min(many, len(self._pins))):
            self._pins[number] = f"{draw.randrange(10_000):04}"
        for number in draw.sample(sorted(self._pins), many // 10):
            del self._pins[number]
            self.patrons += 1
            self._pins[self.patrons] = "4711"

    @property
    def cards(self) -> int:
        """How many cards are in the register."""
        return len(self._pins)

    def push(self) -> Pushed:
        """Export the register and run ``doorctl sync push`` in a process of its own."""
        rows = (json.dumps(patron(number, pin=pin)) for number, pin in self._pins.items())
        export = self._directory / "exports" / "01-full.ndjson"
        part = export.with_name(".part")
        part.write_text("\n".join(rows) + "\n", encoding="utf-8")
        part.replace(export)
        output = self._directory / "push.txt"
        with output.open("wb") as file:
            began_s = time.monotonic()
            words = [sys.executable, "-m", "doorctl", "sync", "push"]
            process = subprocess.Popen(
                [*words, "--config", str(self._sender.config)], stdout=file, stderr=file
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        took_s = time.monotonic() - began_s
        said = output.read_text("utf-8")
        processor_s = usage.ru_utime + usage.ru_stime
        return Pushed(process.returncode, began_s, took_s, processor_s, said)
