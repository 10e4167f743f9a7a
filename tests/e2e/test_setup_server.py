"""From a library system's own export to a card that opens: setup, push, and a swipe at the door."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.test_setup_server import Server
from tests.e2e.door import COMMANDS
from tests.extras.registers import EVERYBODY, PIN
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import Branch

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="setup writes what is root's")

INSIDE, GUEST = EVERYBODY[0], EVERYBODY[4]


@pytest.mark.parametrize("system", ["koha-report", "folio", "spreadsheet"])
def test_a_card_opens_after_setup_and_a_push(system: str, tmp_path: Path) -> None:
    """A resident's does, with the PIN where the export has it; a guest's does not.

    Where each branch learns PINs, this one asks for none, so that it needs no library system.
    """
    (server_at := tmp_path / "server").mkdir()
    (branch_at := tmp_path / "branch").mkdir()
    server = Server(server_at, system)
    terminal = server.begin("--set=seal.memory_kib=8", "--set=seal.iterations=1")
    server.answer(terminal)
    terminal.type("Is that right", "yes")
    assert terminal.end() == 0, terminal.shown
    shutil.copy2(server.directory / "installation.key", branch_at)
    has_pins = system == "spreadsheet"
    branch = Branch(
        branch_at,
        f'web.push.public_key_files=["{server.directory / "signing.pub"}"]',
        f"policy.require_pin={str(has_pins).lower()}",
        "policy.require_resident=true",
    )
    with ExitStack() as stack:
        stack.enter_context(branch.stage)
        stack.callback(branch.end, signal.SIGKILL)
        branch.stage.start()
        branch.start()
        with server.config.open("a") as file:
            url = f"http://127.0.0.1:{branch.port}"
            file.write(f'[[sync.targets]]\nbranch = "demo"\nurl = "{url}"\n')

        done = COMMANDS.run(
            ["sync", "push", "--approved-by", "test", "--config", str(server.config)]
        )

        assert done.returncode == 0, done.stdout + done.stderr
        for patron, reason in ((INSIDE, "ok"), (GUEST, "not_resident")):
            branch.stage.reader.send(f"{patron.card}\r".encode())
            if has_pins:
                branch.stage.wait_for_attempt(timeout_s=LIMIT_S)
                branch.type(PIN)
            decision = branch.stage.wait_for("decision", timeout_s=LIMIT_S)
            assert decision["reason"] == reason
            if reason == "ok":
                branch.stage.wait_for("door", state="locked", timeout_s=LIMIT_S)
