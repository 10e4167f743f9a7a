"""The handbook's commands are run on a door, as somebody types them who reads it."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path

from tests.docs.handbook import HANDBOOK
from tests.e2e.door import Door
from tests.e2e.people import write_feed

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
TECHNICIAN = HANDBOOK / "en" / "technician.md"
FIRST = ("init", "patrons load FEED.ndjson --full", "staff add leder --role manager")
"""What `doorctl setup` does: steps of which a sentence tells."""

PAGES = ("technician", "dpo", "incidents")
"""In their order: once a clock was said to be right, nothing is purged for six hours."""

ELSEWHERE = {
    "setup": "writes what is root's, and systemd's: tests/cli/test_setup_dialogue.py",
    "reader": "looks at the machine and not at a door: tests/e2e/test_reader.py",
    "sync": "takes a server and its branches: tests/e2e/test_sync.py",
    "keys": "takes two of each: tests/e2e/test_rotation.py",
    "nats-config": "takes a sender: tests/extras/fleet/test_permissions.py",
    "pair": "takes a server: tests/e2e/test_rotation.py",
    "backup": "takes age and a key elsewhere: tests/e2e/test_restoring.py",
    "restore": "takes an empty card: tests/e2e/test_restoring.py",
    "support-bundle": "reads the journal as root: tests/admin/test_support.py",
}
"""What tests/docs/test_handbook.py parses and nobody runs here, and who does."""

REFUSED = {
    "passes revoke 12": "there is no pass 12",
    "alarm send": "alarms go nowhere: fill in",
    "doctor": " fail: ",
}
"""Commands that end with 1 on this door, and what they say; all others do what they are for."""


def commands() -> list[str]:
    """Return each command of doorctl without that word; both languages have the same."""
    pages = ((HANDBOOK / "en" / f"{name}.md").read_text("utf-8") for name in PAGES)
    lines = [line for page in pages for block in BLOCK.findall(page) for line in block.splitlines()]
    ours = [line.removeprefix("doorctl ") for line in lines if line.startswith("doorctl ")]
    return [one for one in dict.fromkeys((*FIRST, *ours)) if one.split()[0] not in ELSEWHERE]


def test_every_command_does_what_it_says(bare: Door, tmp_path: Path) -> None:
    """From the first one on: on a door that they have made themselves, in the handbook's order."""
    now, stick = datetime.now().astimezone(), tmp_path / "stick"
    stick.mkdir()
    fills_in = {
        "FEED.ndjson": str(write_feed(tmp_path / "feed.ndjson")),
        "/media/usb": str(stick),
        "indsigt.html": str(tmp_path / "indsigt.html"),
        "brev.html": str(tmp_path / "brev.html"),
        "2026-11-28": f"{now - timedelta(days=1):%Y-%m-%d}",
        "2026-12-31": f"{now + timedelta(days=30):%Y-%m-%d}",
        "--role manager": "--role manager --password-stdin",
    }
    found = [one for one in commands() if one != "relay-off"]
    assert all(f"`doorctl {one}`" in TECHNICIAN.read_text("utf-8") for one in FIRST)
    assert len(found) > 15
    for command in found:
        typed = command
        for written, meant in fills_in.items():
            typed = typed.replace(written, meant)
        if command == "status":
            bare.start()
        done = bare.call(
            *shlex.split(typed),
            stdin="lampe tirsdag fjord\n" * ("staff" in typed) or "0101701234\n",
        )

        ended = (done.returncode, done.stderr.count("\n"))
        assert REFUSED.get(command, "") in done.stderr, command
        assert ended == ((1, 1) if command in REFUSED else (0, 0)), (command, done.stderr)

    bare.stop()
    assert bare.call("relay-off").returncode == 0
